package import Base

/// What was typed, checked against the definition: first of two steps. What it means is up to the
/// command (`CommandDefinition.interpret`).
package struct TypedArguments: Sendable {
  package var positionals: [String] = []
  /// By flag name; each fits its flag's kind.
  package var values: [String: String] = [:]
  package var switches: Set<String> = []

  package init() {}

  package subscript(flag: String) -> String? { values[flag] }

  package func has(_ name: String) -> Bool { switches.contains(name) }

  package func integer(_ flag: String) -> Int? { values[flag].flatMap { Int($0) } }

  package func duration(_ flag: String) -> Nanoseconds? {
    values[flag].flatMap { Nanoseconds(duration: $0) }
  }

  package func number(_ flag: String) -> Double? { values[flag].flatMap { Double($0) } }

  /// The argument at `index`; nil when it was left out.
  package func argument(_ index: Int) -> String? {
    positionals.indices.contains(index) ? positionals[index] : nil
  }
}
