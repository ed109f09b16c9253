package import Base

/// Every error code that leaves the node, in problem documents and in terminal records.
/// `Schemas/problem-codes.json` is the same list as data; `docs/errors.md` explains each.
package enum ErrorCode: String, Sendable, CaseIterable {
  // Requests
  case jsonMalformed = "json_malformed"
  case requestMalformed = "request_malformed"
  case unauthenticated
  case hostForbidden = "host_forbidden"
  case originForbidden = "origin_forbidden"
  case forbidden
  case turnNotFound = "turn_not_found"
  case sessionNotFound = "session_not_found"
  case routeNotFound = "route_not_found"
  case methodNotAllowed = "method_not_allowed"
  case requestTimeout = "request_timeout"
  case sessionBusy = "session_busy"
  case approvalPending = "approval_pending"
  case bodyTooLarge = "body_too_large"
  case contentTypeUnsupported = "content_type_unsupported"
  case headersTooLarge = "headers_too_large"
  case queueFull = "queue_full"
  case rateLimited = "rate_limited"
  case fieldMissing = "field_missing"
  case fieldInvalid = "field_invalid"
  case fieldUnknown = "field_unknown"
  case fieldUnsupported = "field_unsupported"
  case personalityNotFound = "personality_not_found"
  case modelNotFound = "model_not_found"
  case schemaInvalid = "schema_invalid"
  case schemaKeywordUnsupported = "schema_keyword_unsupported"
  case idempotencyKeyReused = "idempotency_key_reused"
  case staleTurn = "stale_turn"
  case `internal`
  case turnUnconfirmed = "turn_unconfirmed"
  case nodeDraining = "node_draining"
  case overloaded
  case busUnavailable = "bus_unavailable"
  case diskFull = "disk_full"
  // Turns
  case providerAuthentication = "provider_authentication"
  case providerPermission = "provider_permission"
  case providerNotFound = "provider_not_found"
  case providerInvalidRequest = "provider_invalid_request"
  case contextLength = "context_length"
  case contentPolicy = "content_policy"
  case providerRateLimited = "provider_rate_limited"
  case providerQuota = "provider_quota"
  case providerOverloaded = "provider_overloaded"
  case providerUnavailable = "provider_unavailable"
  case providerTimeout = "provider_timeout"
  case providerProtocol = "provider_protocol"
  case providerStreamCut = "provider_stream_cut"
  case responseSchemaViolation = "response_schema_violation"
  case stepTimeout = "step_timeout"
  case deadlineExceeded = "deadline_exceeded"
  case cancelled
  case stepsExhausted = "steps_exhausted"
  case planInvalid = "plan_invalid"
  case packUnavailable = "pack_unavailable"
  case budgetExceeded = "budget_exceeded"
  case priceUnknown = "price_unknown"
  case effectUnknown = "effect_unknown"
  case compensationFailed = "compensation_failed"
  case poison
  case blobMissing = "blob_missing"
  case sessionParked = "session_parked"

  /// The HTTP status of a problem document; nil for codes that only end turns.
  package var status: Int? {
    switch self {
    case .jsonMalformed, .requestMalformed: 400
    case .unauthenticated: 401
    case .hostForbidden, .originForbidden, .forbidden: 403
    case .turnNotFound, .sessionNotFound, .routeNotFound: 404
    case .methodNotAllowed: 405
    case .requestTimeout: 408
    case .sessionBusy, .approvalPending: 409
    case .bodyTooLarge: 413
    case .contentTypeUnsupported: 415
    case .queueFull, .rateLimited: 429
    case .headersTooLarge: 431
    case .fieldMissing, .fieldInvalid, .fieldUnknown, .fieldUnsupported, .personalityNotFound,
      .modelNotFound, .schemaInvalid, .schemaKeywordUnsupported, .idempotencyKeyReused,
      .staleTurn:
      422
    case .internal: 500
    case .turnUnconfirmed, .nodeDraining, .overloaded, .busUnavailable, .diskFull: 503
    default: nil
    }
  }

  /// Whether the same request may succeed later without being changed.
  package var retryable: Bool {
    switch self {
    case .requestTimeout, .sessionBusy, .approvalPending, .queueFull, .rateLimited,
      .turnUnconfirmed, .nodeDraining, .overloaded, .busUnavailable, .diskFull,
      .providerRateLimited, .providerOverloaded, .providerUnavailable, .providerTimeout,
      .providerProtocol, .providerStreamCut, .stepTimeout, .packUnavailable, .internal:
      true
    default: false
    }
  }
}

/// Why a request is refused; becomes a problem document (RFC 9457).
package struct Problem: Error, Sendable {
  package var code: ErrorCode
  /// What is wrong, where, and what to do; never a secret.
  package var detail: String
  /// RFC 6901, into the request's body.
  package var pointer: String?
  /// The turn whose fate is not known, so that it can be asked for later.
  package var turnID: ULID?
  package var retryAfterSeconds: Int?

  package init(
    _ code: ErrorCode, _ detail: String, pointer: String? = nil, turnID: ULID? = nil,
    retryAfterSeconds: Int? = nil
  ) {
    self.code = code
    self.detail = detail
    self.pointer = pointer
    self.turnID = turnID
    self.retryAfterSeconds = retryAfterSeconds
  }
}

/// Why a step or a turn failed; stands in results and terminal records.
package struct TurnFailure: Error, Sendable, Hashable {
  package var code: ErrorCode
  /// A vendor's own words are kept, with anything that looks like a key removed.
  package var message: String
  package var retryable: Bool

  package init(_ code: ErrorCode, _ message: String, retryable: Bool? = nil) {
    self.code = code
    self.message = message
    self.retryable = retryable ?? code.retryable
  }

  package var json: JSON {
    [
      "code": .string(code.rawValue), "message": .string(message), "retryable": .bool(retryable),
    ]
  }
}
