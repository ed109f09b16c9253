package import Base

/// Who asks (SEMANTICS D24): stamped by the gateway on turns and control events.
package struct Principal: Sendable, Hashable {
  package var subject: String
  package var tenantID: String
  package var scopes: [String]
  /// How the subject was established: `local`, `key`, `jwt`.
  package var auth: String

  package init(subject: String, tenantID: String, scopes: [String], auth: String) {
    self.subject = subject
    self.tenantID = tenantID
    self.scopes = scopes
    self.auth = auth
  }

  /// The one principal of `auth.mode = "local"`.
  package static let local = Principal(
    subject: "local", tenantID: "default", scopes: ["turns", "approve", "admin"], auth: "local")

  package var json: JSON {
    [
      "subject": .string(subject), "tenant_id": .string(tenantID),
      "scopes": .array(scopes.map { .string($0) }), "auth": .string(auth),
    ]
  }

  package init?(json: JSON) {
    guard let subject = json["subject"]?.string, let tenant = json["tenant_id"]?.string,
      let scopes = json["scopes"]?.array, let auth = json["auth"]?.string
    else { return nil }
    self.init(
      subject: subject, tenantID: tenant, scopes: scopes.compactMap(\.string), auth: auth)
  }
}
