import Base
import Events

/// JSON that clients send.
enum RequestBody {
  /// The body as an object: no JSON is `json_malformed`, another value or a doubled name is
  /// `field_invalid`.
  static func object(_ bytes: UnsafeRawBufferPointer) throws(Problem) -> JSONObject {
    let value: JSON
    do throws(JSONError) {
      value = try JSON(parsing: bytes)
    } catch {
      switch error.kind {
      case .duplicateName:
        throw Problem(.fieldInvalid, error.description, pointer: error.pointer)
      case .malformed, .tooDeep: throw Problem(.jsonMalformed, error.description)
      }
    }
    guard case .object(let object) = value else {
      throw Problem(
        .fieldInvalid, "the body is of type \(value.typeName); expected an object", pointer: "")
    }
    return object
  }

  /// Nothing, or an object without members: for operations that take no input.
  static func requireEmpty(_ bytes: UnsafeRawBufferPointer) throws(Problem) {
    guard !bytes.isEmpty else { return }
    guard let name = try object(bytes).names.first else { return }
    throw Problem(
      .fieldUnknown, "the operation takes no fields", pointer: "/" + JSONPointer.escape(name))
  }
}
