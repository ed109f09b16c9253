import Base
package import Events

/// The body of `POST …/chat/completions`.
package enum ChatRequestBody {
  /// Where servers differ in what they take.
  package struct Dialect: Sendable, Hashable {
    /// OpenAI itself: it renamed `max_tokens`, pads its stream unless told not to, and its
    /// reasoning models refuse a temperature.
    package var isOpenAI: Bool
    package var supportsTools: Bool

    package init(isOpenAI: Bool, supportsTools: Bool = true) {
      self.isOpenAI = isOpenAI
      self.supportsTools = supportsTools
    }
  }

  package static func encode(
    _ request: GenerateRequest, model: String, dialect: Dialect
  ) -> [UInt8] {
    let textBytes = request.messages.reduce(0) { $0 + $1.text.utf8.count + 64 }
    var writer = JSONWriter(reserving: textBytes + 512)
    writer.beginObject()
    writer.member("model", model)
    writer.name("messages")
    writer.beginArray()
    for message in request.messages { append(message, to: &writer) }
    writer.endArray()
    appendStreaming(dialect, to: &writer)
    if let temperature = request.temperature, !refusesTemperature(model, dialect) {
      writer.member("temperature", .double(temperature))
    }
    if let limit = request.maxOutputTokens {
      writer.name(dialect.isOpenAI ? "max_completion_tokens" : "max_tokens")
      writer.int(limit)
    }
    if dialect.supportsTools, !request.tools.isEmpty { append(request.tools, to: &writer) }
    if let schema = request.responseSchema { append(schema: schema, to: &writer) }
    writer.endObject()
    return writer.bytes
  }

  private static func appendStreaming(_ dialect: Dialect, to writer: inout JSONWriter) {
    writer.name("stream")
    writer.bool(true)
    writer.name("stream_options")
    writer.beginObject()
    writer.name("include_usage")
    writer.bool(true)
    if dialect.isOpenAI {
      writer.name("include_obfuscation")
      writer.bool(false)
    }
    writer.endObject()
  }

  private static func append(_ message: ChatMessage, to writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("role", message.role.rawValue)
    writer.name("content")
    if message.text.isEmpty, !message.toolCalls.isEmpty {
      writer.null()
    } else {
      writer.string(message.text)
    }
    if !message.toolCalls.isEmpty { append(message.toolCalls, to: &writer) }
    if let id = message.toolCallID { writer.member("tool_call_id", id) }
    writer.endObject()
  }

  private static func append(_ calls: [ToolCall], to writer: inout JSONWriter) {
    writer.name("tool_calls")
    writer.beginArray()
    for call in calls {
      writer.beginObject()
      writer.member("id", call.id)
      writer.member("type", "function")
      writer.name("function")
      writer.beginObject()
      writer.member("name", call.name)
      writer.member("arguments", call.arguments)
      writer.endObject()
      writer.endObject()
    }
    writer.endArray()
  }

  private static func append(_ tools: [ToolDefinition], to writer: inout JSONWriter) {
    writer.name("tools")
    writer.beginArray()
    for tool in tools {
      writer.beginObject()
      writer.member("type", "function")
      writer.name("function")
      writer.beginObject()
      writer.member("name", tool.name)
      writer.member("description", tool.description)
      writer.member("parameters", tool.inputSchema)
      writer.endObject()
      writer.endObject()
    }
    writer.endArray()
  }

  private static func append(schema: JSON, to writer: inout JSONWriter) {
    writer.name("response_format")
    writer.beginObject()
    writer.member("type", "json_schema")
    writer.name("json_schema")
    writer.beginObject()
    writer.member("name", "answer")
    writer.member("schema", schema)
    writer.name("strict")
    writer.bool(isStrict(schema))
    writer.endObject()
    writer.endObject()
  }

  /// Strict mode answers 400 to a schema in which an object is open or a property optional; such
  /// a schema is sent as a wish, and the engine's check decides.
  static func isStrict(_ schema: JSON) -> Bool {
    switch schema {
    case .object(let object):
      if let properties = object["properties"]?.object {
        let required = Set((object["required"]?.array ?? []).compactMap(\.string))
        guard object["additionalProperties"] == .bool(false),
          properties.names.allSatisfy(required.contains)
        else { return false }
        // The names of properties are no keywords: only what they hold is looked at.
        guard properties.members.allSatisfy({ isStrict($0.value) }) else { return false }
      } else if object["type"] == "object" {
        return false
      }
      return object.members.allSatisfy { $0.name == "properties" || isStrict($0.value) }
    case .array(let items): return items.allSatisfy(isStrict)
    default: return true
    }
  }

  /// OpenAI's reasoning models answer 400 to any temperature.
  private static func refusesTemperature(_ model: String, _ dialect: Dialect) -> Bool {
    dialect.isOpenAI && ["o1", "o3", "o4", "gpt-5"].contains { model.hasPrefix($0) }
  }
}
