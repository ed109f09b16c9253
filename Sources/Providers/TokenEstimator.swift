import Base
package import Events

/// A guess at token counts for providers that report none; whoever uses it marks the usage as
/// estimated. Four ASCII bytes a token is what byte-pair vocabularies reach on English prose;
/// other scripts get about one token a scalar.
package enum TokenEstimator {
  /// Tokens that a chat template adds around each message.
  private static let messageOverhead = 4

  package static func tokens(of text: String) -> Int {
    var ascii = 0
    var other = 0
    for byte in text.utf8 {
      if byte < 0x80 {
        ascii += 1
      } else if byte & 0xC0 != 0x80 {
        other += 1
      }
    }
    return (ascii + 3) / 4 + other
  }

  package static func tokens(of request: GenerateRequest) -> Int {
    let messages = request.messages.reduce(0) { sum, message in
      sum + messageOverhead + tokens(of: message.text)
        + message.toolCalls.reduce(0) { $0 + tokens(of: $1.name) + tokens(of: $1.arguments) }
    }
    return request.tools.reduce(messages) { sum, tool in
      sum + tokens(of: tool.name) + tokens(of: tool.description)
        + tokens(of: tool.inputSchema.text)
    }
  }
}
