// Contract: the bodies that vendors accept, byte for byte.
import Base
import Events
import Providers
import Testing

@Suite struct ChatRequestBodyTests {
  private let compatible = ChatRequestBody.Dialect(isOpenAI: false)
  private let openAI = ChatRequestBody.Dialect(isOpenAI: true)

  private func text(
    _ request: GenerateRequest, _ dialect: ChatRequestBody.Dialect, model: String = "m"
  ) -> String {
    String(
      decoding: ChatRequestBody.encode(request, model: model, dialect: dialect), as: UTF8.self)
  }

  @Test func plain() {
    #expect(
      text(request("Say \"hi\"\n🦊"), compatible)
        == #"{"model":"m","messages":[{"role":"system","content":"Be brief."},"#
        + #"{"role":"user","content":"Say \"hi\"\n🦊"}],"stream":true,"#
        + #""stream_options":{"include_usage":true}}"#)
  }

  @Test func limitsAreNamedAsEachServerWants() {
    var wanted = request("x")
    wanted.temperature = 0.5
    wanted.maxOutputTokens = 64
    #expect(text(wanted, compatible).hasSuffix(#","temperature":0.5,"max_tokens":64}"#))
    let body = text(wanted, openAI)
    #expect(body.hasSuffix(#","temperature":0.5,"max_completion_tokens":64}"#))
    #expect(body.contains(#""include_obfuscation":false"#))
  }

  @Test(arguments: ["o1", "o3-mini", "o4-mini", "gpt-5", "gpt-5-mini"])
  func reasoningModelsGetNoTemperature(_ model: String) {
    var wanted = request("x")
    wanted.temperature = 0
    #expect(!text(wanted, openAI, model: model).contains("temperature"))
    #expect(text(wanted, compatible, model: model).contains(#""temperature":0"#))
  }

  @Test func toolsAndTheirResults() {
    var wanted = request("Weather?")
    let schema: JSON = ["type": "object", "properties": ["city": ["type": "string"]]]
    wanted.tools = [
      ToolDefinition(
        name: "get_weather", description: "Now", command: ["x"], inputSchema: schema,
        effect: .read, timeout: nil)
    ]
    let call = ToolCall(id: "call_1", name: "get_weather", arguments: #"{"city":"Zürich"}"#)
    wanted.messages += [
      ChatMessage(.assistant, "", toolCalls: [call]),
      ChatMessage(.tool, "sunny", toolCallID: "call_1"),
    ]
    let body = text(wanted, compatible)
    #expect(
      body.contains(
        #"{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","#
          + #""function":{"name":"get_weather","arguments":"{\"city\":\"Zürich\"}"}}]},"#
          + #"{"role":"tool","content":"sunny","tool_call_id":"call_1"}"#))
    #expect(
      body.hasSuffix(
        #","tools":[{"type":"function","function":{"name":"get_weather","description":"Now","#
          + #""parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}]}"#))
    let noTools = ChatRequestBody.Dialect(isOpenAI: false, supportsTools: false)
    #expect(!text(wanted, noTools).contains(#""tools""#))
  }

  @Test func schemasAreStrictWhereStrictModeTakesThem() {
    func ending(_ schema: JSON) -> String {
      String(text(request("x", schema: schema), compatible).suffix(16))
    }
    let closed: JSON = [
      "type": "object", "properties": ["a": ["type": "integer"]], "required": ["a"],
      "additionalProperties": false,
    ]
    #expect(ending(closed) == #","strict":true}}}"#.suffix(16))
    var open = closed
    if case .object(var object) = open {
      object["additionalProperties"] = nil
      open = .object(object)
    }
    #expect(ending(open) == #","strict":false}}}"#.suffix(16))
    let optional: JSON = [
      "type": "object", "properties": ["a": ["type": "integer"]], "required": [],
      "additionalProperties": false,
    ]
    #expect(ending(optional) == #","strict":false}}}"#.suffix(16))
    #expect(ending(["type": "array", "items": open]) == #","strict":false}}}"#.suffix(16))
    #expect(ending(["type": "array", "items": closed]) == #","strict":true}}}"#.suffix(16))
    #expect(
      text(request("x", schema: closed), compatible).contains(
        #""response_format":{"type":"json_schema","json_schema":{"name":"answer","schema":{"#))
  }
}
