package import Base

/// One finding of `kfm doctor`.
package struct HealthCheck: Equatable {
  package enum Status: String, Sendable { case ok, warn, fail }

  package var check: String
  package var status: Status
  package var detail: String
  /// What to do; nil when there is nothing to be done.
  package var remedy: String?

  package init(_ check: String, _ status: Status, _ detail: String, remedy: String? = nil) {
    self.check = check
    self.status = status
    self.detail = detail
    self.remedy = remedy
  }

  package var json: JSON {
    var object: JSONObject = [
      "check": .string(check), "status": .string(status.rawValue), "detail": .string(detail),
    ]
    if let remedy { object["remedy"] = .string(remedy) }
    return .object(object)
  }
}
