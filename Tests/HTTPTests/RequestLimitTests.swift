import HTTP
import Testing

// Contract: every limit of a request's size holds to the byte, and exceeding it names the limit.

private let start = "GET / HTTP/1.1\r\nHost: a\r\n"
private let chunkedStart = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

private func headOf(bytes count: Int) -> String {
  let rest = count - start.utf8.count - "X: \r\n\r\n".utf8.count
  return start + "X: " + String(repeating: "x", count: rest) + "\r\n\r\n"
}

private func isTooLarge(_ failure: RequestFailure?) -> Bool {
  if case .headersTooLarge? = failure { true } else { false }
}

@Suite struct RequestLimitTests {
  @Test func theHeadIsBounded() {
    let fits = RequestTranscript(headOf(bytes: HTTPLimits.headBytesMax))
    #expect(fits.ends == 1)
    let over = RequestTranscript(headOf(bytes: HTTPLimits.headBytesMax + 1))
    #expect(isTooLarge(over.failure))
  }

  @Test func anEndlessLineIsRefusedBeforeItEnds() {
    let line = start + "X: " + String(repeating: "x", count: HTTPLimits.headBytesMax)
    #expect(isTooLarge(RequestTranscript(line).failure))
    let bytes = Array(line.utf8)
    let split = RequestTranscript(bytes, cuts: Array(stride(from: 1, to: bytes.count, by: 997)))
    #expect(split == RequestTranscript(line))
  }

  @Test func fieldsAreCounted() {
    let more = String(repeating: "x: 1\r\n", count: HTTPLimits.fieldsMax - 1)
    #expect(RequestTranscript(start + more + "\r\n").ends == 1)
    #expect(isTooLarge(RequestTranscript(start + more + "y: 1\r\n\r\n").failure))
  }

  @Test func theTargetIsBounded() {
    let target = "/" + String(repeating: "a", count: HTTPLimits.targetBytesMax - 1)
    #expect(RequestTranscript("GET \(target) HTTP/1.1\r\nHost: a\r\n\r\n").ends == 1)
    let over = RequestTranscript("GET \(target)a HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(isTooLarge(over.failure))
  }

  @Test func aLengthOverTheLimitIsRefusedAfterTheHead() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: "
    #expect(RequestTranscript(head + "10\r\n\r\n0123456789", bodyBytesMax: 10).ends == 1)
    for length in ["11", "99999999999999999999999999"] {
      let over = RequestTranscript(head + length + "\r\n\r\n", bodyBytesMax: 10)
      #expect(over.heads.count == 1)
      #expect(over.failure == .bodyTooLarge(bytesMax: 10))
    }
  }

  @Test func chunksOverTheLimitAreRefused() {
    let fits = chunkedStart + "6\r\n012345\r\n4\r\n6789\r\n0\r\n\r\n"
    #expect(RequestTranscript(fits, bodyBytesMax: 10).ends == 1)
    let over = RequestTranscript(chunkedStart + "6\r\n012345\r\n5\r\n", bodyBytesMax: 10)
    #expect(over.failure == .bodyTooLarge(bytesMax: 10))
    #expect(over.bodies == [Array("012345".utf8)])
  }

  @Test func chunkExtensionsAreBounded() {
    let most = String(repeating: "e", count: HTTPLimits.chunkExtensionBytesMax)
    #expect(RequestTranscript(chunkedStart + "0;\(most)\r\n\r\n").ends == 1)
    guard case .malformed? = RequestTranscript(chunkedStart + "1;\(most)\r\na\r\n1;e").failure
    else {
      Issue.record("extensions of two chunks were not counted together")
      return
    }
  }

  @Test func trailersAreBounded() {
    let head = chunkedStart + "0\r\n"
    let line = "T: " + String(repeating: "t", count: HTTPLimits.trailerBytesMax - 7) + "\r\n"
    #expect(RequestTranscript(head + line + "\r\n").ends == 1)
    #expect(isTooLarge(RequestTranscript(head + "t" + line + "\r\n").failure))
    let many = String(repeating: "t:1\r\n", count: HTTPLimits.fieldsMax)
    #expect(RequestTranscript(head + many + "\r\n").ends == 1)
    #expect(isTooLarge(RequestTranscript(head + many + "t:1\r\n\r\n").failure))
  }
}
