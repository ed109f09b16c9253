/// An answer whose body is known. Content-Length, Transfer-Encoding, Connection and Date are the
/// server's to set and must not be among the fields.
package struct HTTPResponse: Sendable {
  package var status: Int
  package var fields: [HTTPField]
  package var body: [UInt8]

  package init(status: Int, fields: [HTTPField] = [], body: [UInt8] = []) {
    self.status = status
    self.fields = fields
    self.body = body
  }

  /// Says what is wrong with a request as plain text; for servers without a format of their own.
  package init(describing failure: RequestFailure) {
    self.init(
      status: failure.status, fields: [HTTPField("Content-Type", "text/plain; charset=utf-8")],
      body: Array((failure.detail + "\n").utf8))
  }
}
