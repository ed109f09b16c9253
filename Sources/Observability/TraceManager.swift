package import Base

/// The trace a request belongs to (W3C Trace Context).
package struct TraceContext: Sendable, Hashable {
  /// 32 lower-case hexadecimal digits, not all zero.
  package var traceID: String
  /// The caller's span, 16 digits; nil when the trace began here.
  package var parentSpanID: String?
  package var isSampled: Bool

  package init(traceID: String, parentSpanID: String? = nil, isSampled: Bool = true) {
    self.traceID = traceID
    self.parentSpanID = parentSpanID
    self.isSampled = isSampled
  }

  /// Reads a `traceparent` header; nil for one that is invalid, which then counts as absent
  /// (W3C Trace Context section 3.2: a version above 00 may have more after its flags).
  package init?(traceparent: some StringProtocol) {
    let bytes = Array(traceparent.utf8)
    let dash = UInt8(ascii: "-")
    guard bytes.count >= Self.headerLength, bytes[2] == dash, bytes[35] == dash, bytes[52] == dash,
      let version = Self.lowerHex(bytes[0..<2]), version != "ff",
      let trace = Self.lowerHex(bytes[3..<35]), !Self.isZero(trace),
      let span = Self.lowerHex(bytes[36..<52]), !Self.isZero(span),
      let flags = Self.lowerHex(bytes[53..<55]),
      bytes.count == Self.headerLength || (version != "00" && bytes[Self.headerLength] == dash)
    else { return nil }
    self.init(traceID: trace, parentSpanID: span, isSampled: Int(flags, radix: 16)! & 1 == 1)
  }

  /// Length of a version 00 header in bytes.
  private static let headerLength = 55

  private static func lowerHex(_ bytes: ArraySlice<UInt8>) -> String? {
    let isHex = bytes.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    return isHex ? String(decoding: bytes, as: UTF8.self) : nil
  }

  private static func isZero(_ digits: String) -> Bool { digits.utf8.allSatisfy { $0 == 48 } }
}

/// Makes trace and span ids, and takes over those of callers.
package final class TraceManager {
  private let random: any RandomSource

  package init(random: any RandomSource) { self.random = random }

  /// The caller's trace when its header is valid, else a new one.
  package func context(traceparent: String?) -> TraceContext {
    if let traceparent, let context = TraceContext(traceparent: traceparent) { return context }
    return TraceContext(traceID: newTraceID())
  }

  package func newTraceID() -> String {
    var value = UInt128.zero
    while value == 0 { value = random.next128() }
    return Hex.encode(value)
  }

  /// The header for a call made on behalf of `context`, under a new span.
  package func traceparent(of context: TraceContext) -> String {
    var span: UInt64 = 0
    while span == 0 { span = random.next() }
    let digits = Hex.encode(withUnsafeBytes(of: span.bigEndian) { Array($0) })
    return "00-\(context.traceID)-\(digits)-\(context.isSampled ? "01" : "00")"
  }
}
