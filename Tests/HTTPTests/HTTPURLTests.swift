import HTTP
import Testing

// Contract: HTTPURL takes apart what can be asked and refuses the rest.

@Suite struct HTTPURLTests {
  @Test(arguments: [
    ("http://a", "a", 80, "/", "a"), ("https://a", "a", 443, "/", "a"),
    ("HTTP://a.b:8080/x/y?z=1#f", "a.b", 8080, "/x/y?z=1", "a.b:8080"),
    ("http://a?x=/y", "a", 80, "/?x=/y", "a"), ("http://[::1]:81/x", "::1", 81, "/x", "[::1]:81"),
    ("http://[fe80::1]", "fe80::1", 80, "/", "[fe80::1]"),
    ("http://127.0.0.1:1/%2F", "127.0.0.1", 1, "/%2F", "127.0.0.1:1"),
  ])
  func takesApart(
    _ text: String, _ host: String, _ port: UInt16, _ target: String, _ authority: String
  ) throws {
    let url = try #require(HTTPURL(text))
    #expect(url.host == host)
    #expect(url.port == port)
    #expect(url.target == target)
    #expect(url.authority == authority)
    #expect(url.isSecure == text.lowercased().hasPrefix("https"))
  }

  @Test(arguments: [
    "", "a", "/x", "http:", "http:/a", "http://", "http:///x", "http://:80/x", "ftp://a/x",
    "file:///etc/passwd", "http://u:p@a/x", "http://a:0/", "http://a:65536/", "http://a:8x/",
    "http://a b/", "http://a/b c",
    "http://a/\r\nX: 1", "http://a\r\n/", "http://a/ä", "http://ä/",
  ])
  func refuses(_ text: String) { #expect(HTTPURL(text) == nil) }
}
