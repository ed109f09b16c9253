/// A value that must not be printed: every description of it, also inside other values' dumps and
/// string interpolations, is `***`. Only `reveal` gives it out.
package struct Secret: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible,
  CustomReflectable
{
  /// What stands in a secret's place wherever one would be shown.
  package static let mask = "***"

  private let value: String

  package init(_ value: String) { self.value = value }

  /// The secret itself, for the one place that sends it.
  package func reveal() -> String { value }

  package var description: String { Self.mask }
  package var debugDescription: String { Self.mask }
  package var customMirror: Mirror { Mirror(self, children: []) }
}
