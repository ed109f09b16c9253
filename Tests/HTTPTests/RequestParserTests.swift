import HTTP
import Testing

// Contract: RequestParser accepts exactly the requests that RFC 9112 allows and this server wants,
// refuses the rest with a typed failure, and does so whatever the pieces it is fed. It cannot be
// disproved here that some other reader takes an accepted request differently.

private let host = "Host: localhost\r\n"

/// A request without a body that should be read, and what its segments are then.
private let accepted: [(String, [String])] = [
  ("GET / HTTP/1.1\r\n\(host)\r\n", [""]),
  ("GET /v1/turns HTTP/1.1\r\n\(host)\r\n", ["v1", "turns"]),
  ("GET /v1/turns/ HTTP/1.1\r\n\(host)\r\n", ["v1", "turns", ""]),
  ("GET //v1 HTTP/1.1\r\n\(host)\r\n", ["", "v1"]),
  ("GET /v1/turns/..%2f..%2Fetc HTTP/1.1\r\n\(host)\r\n", ["v1", "turns", "../../etc"]),
  ("GET /a/../b HTTP/1.1\r\n\(host)\r\n", ["a", "..", "b"]),
  ("GET /%E2%82%AC HTTP/1.1\r\n\(host)\r\n", ["€"]),
  ("GET /a+b HTTP/1.1\r\n\(host)\r\n", ["a+b"]),
  ("GET /a?x=%20&y=1+2 HTTP/1.1\r\n\(host)\r\n", ["a"]),
  ("GET /a?/../? HTTP/1.1\r\n\(host)\r\n", ["a"]),
  ("GET http://example.com/a HTTP/1.1\r\n\(host)\r\n", ["a"]),
  ("GET HTTP://example.com:80?x=1 HTTP/1.1\r\n\(host)\r\n", [""]),
  ("GET http://example.com HTTP/1.1\r\n\(host)\r\n", [""]),
  ("OPTIONS * HTTP/1.1\r\n\(host)\r\n", []),
  ("DELETE /a HTTP/1.1\r\n\(host)\r\n", ["a"]),
  ("M-SEARCH! /a HTTP/1.1\r\n\(host)\r\n", ["a"]),
  ("GET /a HTTP/1.0\r\n\r\n", ["a"]),
  ("GET /a HTTP/1.7\r\n\(host)\r\n", ["a"]),
  ("\r\nGET /a HTTP/1.1\r\n\(host)\r\n", ["a"]),
  ("GET /a HTTP/1.1\r\nHost:\r\n\r\n", ["a"]),
  ("GET /a HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", ["a"]),
  ("GET /a HTTP/1.1\r\nhOST:localhost\r\n\r\n", ["a"]),
  ("GET /a HTTP/1.1\r\n\(host)X:\t a \u{e9}b \t\r\n\r\n", ["a"]),
  ("GET /a HTTP/1.1\r\n\(host)X:\r\n\r\n", ["a"]),
  ("GET /a HTTP/1.1\r\n\(host)Content-Length: 0\r\n\r\n", ["a"]),
  ("GET /a|b{c}^` HTTP/1.1\r\n\(host)\r\n", ["a|b{c}^`"]),
]

/// Bytes that must be refused as malformed.
private let malformed: [String] = [
  "GET /a HTTP/1.1\r\n\r\n",
  "GET /a HTTP/1.1\r\n\(host)\(host)\r\n",
  "GET /a HTTP/1.0\r\n\(host)\(host)\r\n",
  "GET /a HTTP/1.1\r\nHost: a/b\r\n\r\n",
  "GET /a HTTP/1.1\r\nHost: user@a\r\n\r\n",
  "GET /a HTTP/1.1\r\nHost: a, b\r\n\r\n",
  "GET /a HTTP/1.1\n\(host)\r\n",
  "GET /a HTTP/1.1\r\nHost: localhost\n\r\n",
  "GET /a HTTP/1.1\r\n\(host)\n",
  "GET /a HTTP/1.1\r\(host)\r\n\r\n",
  "GET /a HTTP/1.1\r\n\(host)X: a\rb\r\n\r\n",
  "GET /a HTTP/1.1\r\n\(host)X: a\r\n folded\r\n\r\n",
  "GET /a HTTP/1.1\r\n Host: localhost\r\n\r\n",
  "GET /a HTTP/1.1\r\n\(host)X: a\r\n\tfolded\r\n\r\n",
  "GET /a HTTP/1.1\r\nHost : localhost\r\n\r\n",
  "GET /a HTTP/1.1\r\n\(host)X\t: 1\r\n\r\n",
  "GET /a HTTP/1.1\r\n\(host): 1\r\n\r\n",
  "GET /a HTTP/1.1\r\n\(host)X\r\n\r\n",
  "GET /a HTTP/1.1\r\n\(host)X(: 1\r\n\r\n",
  "GET /a HTTP/1.1\r\n\(host)X\u{e9}: 1\r\n\r\n",
  "GET /a HTTP/1.1\r\n\(host)X: \u{0}\r\n\r\n",
  "GET /a HTTP/1.1\r\n\(host)X: \u{7f}\r\n\r\n",
  "GET /a HTTP/1.1\r\n\(host)X: \u{1b}[0m\r\n\r\n",
  "GET  /a HTTP/1.1\r\n\(host)\r\n",
  "GET /a  HTTP/1.1\r\n\(host)\r\n",
  "GET\t/a HTTP/1.1\r\n\(host)\r\n",
  "GET /a HTTP/1.1 \r\n\(host)\r\n",
  " GET /a HTTP/1.1\r\n\(host)\r\n",
  "GET /a b HTTP/1.1\r\n\(host)\r\n",
  "GET /a\r\n\r\n",
  "GET /a HTTP/1.\r\n\(host)\r\n",
  "GET /a HTTP/1.10\r\n\(host)\r\n",
  "GET /a HTTP/2.0\r\n\(host)\r\n",
  "GET /a HTTP/0.9\r\n\(host)\r\n",
  "GET /a http/1.1\r\n\(host)\r\n",
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "GE(T /a HTTP/1.1\r\n\(host)\r\n",
  "GET a HTTP/1.1\r\n\(host)\r\n",
  "GET * HTTP/1.1\r\n\(host)\r\n",
  "GET ftp://a/b HTTP/1.1\r\n\(host)\r\n",
  "GET http:///b HTTP/1.1\r\n\(host)\r\n",
  "GET http://u@a/b HTTP/1.1\r\n\(host)\r\n",
  "GET http:/a HTTP/1.1\r\n\(host)\r\n",
  "CONNECT a:443 HTTP/1.1\r\n\(host)\r\n",
  "GET /a#b HTTP/1.1\r\n\(host)\r\n",
  "GET /a\\b HTTP/1.1\r\n\(host)\r\n",
  "GET /\u{e9} HTTP/1.1\r\n\(host)\r\n",
  "GET /a\u{0} HTTP/1.1\r\n\(host)\r\n",
  "GET /%0 HTTP/1.1\r\n\(host)\r\n",
  "GET /%zz HTTP/1.1\r\n\(host)\r\n",
  "GET /% HTTP/1.1\r\n\(host)\r\n",
  "GET /%00 HTTP/1.1\r\n\(host)\r\n",
  "GET /%ff HTTP/1.1\r\n\(host)\r\n",
  "GET /%c0%af HTTP/1.1\r\n\(host)\r\n",
  "GET /a?x=%1 HTTP/1.1\r\n\(host)\r\n",
  "\r\n\r\nGET /a HTTP/1.1\r\n\(host)\r\n",
  "\nGET /a HTTP/1.1\r\n\(host)\r\n",
  "\u{16}\u{3}\u{1}\u{2}",
  "POST /a HTTP/1.1\r\n\(host)Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
  "POST /a HTTP/1.1\r\n\(host)Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
  "POST /a HTTP/1.1\r\n\(host)Content-Length: 3, 3\r\n\r\nabc",
  "POST /a HTTP/1.1\r\n\(host)Content-Length: +3\r\n\r\nabc",
  "POST /a HTTP/1.1\r\n\(host)Content-Length: -1\r\n\r\nabc",
  "POST /a HTTP/1.1\r\n\(host)Content-Length: 0x3\r\n\r\nabc",
  "POST /a HTTP/1.1\r\n\(host)Content-Length:\r\n\r\nabc",
  "POST /a HTTP/1.1\r\n\(host)Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  "POST /a HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
  "POST /a HTTP/1.1\r\n\(host)Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
  "POST /a HTTP/1.1\r\n\(host)Transfer-Encoding: identity\r\n\r\n",
  "POST /a HTTP/1.1\r\n\(host)Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
  "POST /a HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
  "POST /a HTTP/1.1\r\n\(host)Transfer-Encoding:\r\n\r\n",
  "POST /a HTTP/1.0\r\n\(host)Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
]

/// Chunked bodies, and what they hold; nil for those that must be refused.
private let chunkedBodies: [(String, String?)] = [
  ("0\r\n\r\n", ""),
  ("3\r\nabc\r\n0\r\n\r\n", "abc"),
  ("1\r\na\r\n00002\r\nbc\r\n000\r\n\r\n", "abc"),
  ("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789"),
  ("3;name=\"v\"\r\nabc\r\n0;x\r\n\r\n", "abc"),
  ("3\r\nabc\r\n0\r\nX-Sum: 1\r\nY:2\r\n\r\n", "abc"),
  ("3\r\nabc\r\n0\r\nContent-Length: 7\r\n\r\n", "abc"),
  ("\r\n\r\n", nil), ("g\r\n", nil), ("-1\r\n", nil), ("0x3\r\nabc\r\n", nil),
  (" 3\r\nabc\r\n", nil), ("3 \r\nabc\r\n", nil), ("3\nabc\r\n0\r\n\r\n", nil),
  ("3\rabc\r\n", nil), ("3\r\nabcd\r\n", nil), ("3\r\nabc\n0\r\n\r\n", nil),
  ("3\r\nabc\r0\r\n\r\n", nil), ("fffffffffffffffff\r\n", nil),
  ("0000000000000003\r\nabc\r\n", nil), ("3;\u{0}\r\nabc\r\n", nil), ("3;a\nb\r\nabc\r\n", nil),
  ("3\r\nabc\rx0\r\n\r\n", nil), ("3\rxabc\r\n0\r\n\r\n", nil),
  ("0\r\nX : 1\r\n\r\n", nil), ("0\r\nX\r\n\r\n", nil), ("0\r\nX: 1\n\r\n", nil),
  ("0\r\n\n", nil), ("0\r\n folded\r\n\r\n", nil),
]

private let chunkedHead = "POST /a HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n"

/// Four requests glued together, of every framing.
private let pipeline =
  "GET /one?a=%20b HTTP/1.1\r\n\(host)\r\n"
  + "POST /two HTTP/1.1\r\n\(host)Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello"
  + "\r\nPUT /three HTTP/1.1\r\n\(host)Transfer-Encoding: Chunked\r\n\r\n"
  + "4;ext=1\r\nwiki\r\n5\r\npedia\r\n0\r\nTrailer: yes\r\n\r\n"
  + "GET /four HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"

@Suite struct RequestParserTests {
  @Test(arguments: accepted)
  func accepts(_ text: String, _ segments: [String]) {
    let transcript = RequestTranscript(text)
    #expect(transcript.failure == nil)
    #expect(transcript.ends == 1)
    #expect(transcript.heads.first?.target.segments == segments)
  }

  @Test(arguments: malformed)
  func refuses(_ text: String) {
    let transcript = RequestTranscript(text)
    guard case .malformed? = transcript.failure else {
      Issue.record("accepted: \(transcript)")
      return
    }
    #expect(transcript.ends == 0)
  }

  @Test(arguments: chunkedBodies)
  func readsChunks(_ body: String, _ content: String?) {
    let transcript = RequestTranscript(chunkedHead + body)
    if let content {
      #expect(transcript.failure == nil)
      #expect(transcript.ends == 1)
      #expect(transcript.bodies.first ?? [] == Array(content.utf8))
    } else {
      guard case .malformed? = transcript.failure else {
        Issue.record("accepted: \(transcript)")
        return
      }
    }
  }

  @Test func fieldsAreFoundWhateverTheirCase() throws {
    let head = try #require(
      RequestTranscript("GET / HTTP/1.1\r\nhost: h\r\nX-A: 1\r\nx-a:  2 \r\nList: a, B ,c\r\n\r\n")
        .heads.first)
    #expect(head.fields["HOST"] == "h")
    #expect(head.fields["x-a"] == "1")
    #expect(head.fields.values("X-A") == ["1", "2"])
    #expect(head.fields["x-b"] == nil)
    #expect(head.fields.list("list", contains: "b"))
    #expect(!head.fields.list("list", contains: "d"))
    #expect(head.fields.all().map(\.name) == ["host", "X-A", "x-a", "List"])
  }

  @Test func theQueryIsDecodedAfterItWasSplit() throws {
    let head = try #require(
      RequestTranscript("GET /a?x=1%262&&y&z=%3D+&x=2 HTTP/1.1\r\n\(host)\r\n").heads.first)
    #expect(
      head.target.query == [
        HTTPField("x", "1&2"), HTTPField("y", ""), HTTPField("z", "= "), HTTPField("x", "2"),
      ])
    #expect(head.target.parameter("x") == "1&2")
  }

  @Test func anAbsoluteTargetNamesTheHost() throws {
    let head = try #require(
      RequestTranscript("GET http://evil.example:81/a HTTP/1.1\r\n\(host)\r\n").heads.first)
    #expect(head.target.authority == "evil.example:81")
    #expect(head.host == "evil.example:81")
  }

  @Test(arguments: [
    ("1.1", "", true), ("1.1", "Connection: close\r\n", false),
    ("1.1", "Connection: x, Close\r\n", false), ("1.0", "", false),
    ("1.0", "Connection: Keep-Alive\r\n", true),
    ("1.0", "Connection: keep-alive, close\r\n", false),
  ])
  func connectionsPersist(_ version: String, _ field: String, _ keeps: Bool) {
    let transcript = RequestTranscript("GET / HTTP/\(version)\r\n\(host)\(field)\r\n")
    #expect(transcript.heads.first?.keepsAlive == keeps)
  }

  @Test func expectIsForBodiesOnly() {
    let expect = "Expect: 100-Continue\r\n"
    let with = RequestTranscript("POST / HTTP/1.1\r\n\(host)\(expect)Content-Length: 1\r\n\r\na")
    #expect(with.heads.first?.expectsContinue == true)
    let without = RequestTranscript("POST / HTTP/1.1\r\n\(host)\(expect)\r\n")
    #expect(without.heads.first?.expectsContinue == false)
    let old = RequestTranscript("POST / HTTP/1.0\r\n\(expect)Content-Length: 1\r\n\r\na")
    #expect(old.heads.first?.expectsContinue == false)
  }
}

@Suite struct RequestParserSplitTests {
  @Test func everySplitGivesTheSameEvents() {
    let bytes = Array(pipeline.utf8)
    let whole = RequestTranscript(bytes)
    #expect(whole.ends == 4)
    #expect(whole.failure == nil)
    #expect(RequestTranscript(bytes, cuts: Array(1..<bytes.count)) == whole)
    for cut in 0...bytes.count {
      #expect(RequestTranscript(bytes, cuts: [cut]) == whole, "cut at \(cut)")
    }
  }

  @Test func everyPairOfCutsGivesTheSameEvents() {
    let bytes = Array((chunkedHead + "3;a\r\nabc\r\n0\r\nT: 1\r\n\r\n").utf8)
    let whole = RequestTranscript(bytes)
    var wrong = 0
    for first in 0...bytes.count {
      for second in first...bytes.count
      where RequestTranscript(bytes, cuts: [first, second]) != whole { wrong += 1 }
    }
    #expect(wrong == 0)
  }

  @Test(arguments: malformed)
  func refusalsDoNotDependOnTheSplit(_ text: String) {
    let bytes = Array(text.utf8)
    let whole = RequestTranscript(bytes)
    #expect(RequestTranscript(bytes, cuts: Array(1..<bytes.count)) == whole)
    for cut in 0...bytes.count {
      #expect(RequestTranscript(bytes, cuts: [cut]) == whole, "cut at \(cut)")
    }
  }

  @Test(arguments: chunkedBodies)
  func chunksDoNotDependOnTheSplit(_ body: String, _ content: String?) {
    let bytes = Array((chunkedHead + body).utf8)
    let whole = RequestTranscript(bytes)
    #expect(RequestTranscript(bytes, cuts: Array(1..<bytes.count)) == whole)
    for cut in chunkedHead.utf8.count...bytes.count {
      #expect(RequestTranscript(bytes, cuts: [cut]) == whole, "cut at \(cut)")
    }
  }

  @Test func everyTruncationWaits() {
    let request = "POST /a HTTP/1.1\r\n\(host)Content-Length: 3\r\n\r\nabc"
    let bytes = Array(request.utf8)
    for count in 0..<bytes.count {
      let transcript = RequestTranscript(Array(bytes[..<count]))
      #expect(transcript.failure == nil)
      #expect(transcript.ends == 0)
    }
  }
}
