import Base
import CCurl
import Glibc

/// One transfer of `CurlTransport`, and the handle that cancels it.
final class CurlExchange: Cancellable {
  private unowned let transport: CurlTransport
  let request: HTTPClientRequest
  private let events: HTTPResponseEvents
  let timer: ExchangeTimer
  private(set) var easy: UnsafeMutableRawPointer?
  private var fields: UnsafeMutablePointer<curl_slist>?
  private let errorText: UnsafeMutablePointer<CChar>
  private var directory: Int32 = -1
  private var head = ResponseHeadBuilder()
  private var isHeadComplete = false
  /// What made us stop libcurl; it says only that we did.
  private var failure: TransportFailure?
  private(set) var isOver = false

  /// Longest path that fits into a socket address.
  private static let unixPathBytesMax = 107

  init(_ transport: CurlTransport, _ request: HTTPClientRequest, _ events: HTTPResponseEvents) {
    self.transport = transport
    self.request = request
    self.events = events
    timer = ExchangeTimer(request.timeouts, timers: transport.loop)
    errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
    errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
  }

  deinit {
    errorText.deallocate()
    if directory >= 0 { close(directory) }
  }

  func cancel() {
    guard !isOver else { return }
    abandon()
    transport.stop(self)
  }

  /// Nothing more is told to the owner.
  func abandon() {
    isOver = true
    timer.stop()
  }

  /// Ends it with what `onEnd` shall hear; once.
  func end(_ result: Result<Void, TransportFailure>) {
    guard !isOver else { return }
    isOver = true
    timer.stop()
    events.onEnd(result)
  }

  /// libcurl is done with it.
  func finished(_ code: CURLcode) {
    guard code != CURLE_OK else {
      return end(isHeadComplete ? .success(()) : .failure(.cut("there was no answer")))
    }
    let text =
      errorText.pointee != 0 ? String(cString: errorText) : String(cString: kfm_curl_error(code))
    end(.failure(failure ?? Self.failure(code, text)))
  }

  private static func failure(_ code: CURLcode, _ text: String) -> TransportFailure {
    switch code {
    case CURLE_URL_MALFORMAT: .requestInvalid(text)
    case CURLE_COULDNT_RESOLVE_HOST: .nameUnknown(text)
    case CURLE_COULDNT_CONNECT: .unreachable(text)
    case CURLE_OPERATION_TIMEDOUT: .timeout(.connect)
    case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM,
      CURLE_SSL_CIPHER, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR,
      CURLE_SSL_INVALIDCERTSTATUS:
      .untrusted(text)
    // Broken chunked coding has no code of its own.
    case CURLE_RECV_ERROR where text.contains("chunk"): .protocolViolation(text)
    case CURLE_PARTIAL_FILE, CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR: .cut(text)
    default: .protocolViolation(text)
    }
  }
}

// MARK: - Preparing

extension CurlExchange {
  /// Sets up `easy` for this exchange; its failure when something in the request is refused.
  func prepare(_ easy: UnsafeMutableRawPointer) -> TransportFailure? {
    self.easy = easy
    for field in request.fields {
      var line: [UInt8] = []
      ResponseWriter.append(field, to: &line)
      // Without its CRLF; libcurl drops "Name:" and sends an empty value only for "Name;".
      line.removeLast(2)
      let text = field.value.isEmpty ? field.name + ";" : String(decoding: line, as: UTF8.self)
      fields = kfm_curl_list_append(fields, text)
    }
    // libcurl would wait for 100 Continue before it sends a larger body.
    fields = kfm_curl_list_append(fields, "Expect:")
    let code = prepareEasy(easy)
    return code == CURLE_OK
      ? nil : .requestInvalid(String(cString: kfm_curl_error(code)))
  }

  private func prepareEasy(_ easy: UnsafeMutableRawPointer) -> CURLcode {
    let hasBody = !request.body.isEmpty || request.method == .post
    let unix = request.unixSocketPath.map(shortSocketPath)
    return request.body.withUnsafeBytes { body in
      request.url.withCString { url in
        request.method.name.withCString { method in
          withOptionalCString(unix, transport.certificateFile) { unix, certificates in
            var empty: UInt8 = 0
            return withUnsafePointer(to: &empty) { empty in
              var options = kfm_curl_request()
              options.certificate_file = certificates
              options.url = url
              options.method = method
              options.unix_socket = unix
              options.fields = fields
              options.body = hasBody ? body.baseAddress ?? UnsafeRawPointer(empty) : nil
              options.body_bytes = body.count
              options.is_head = request.method == .head ? 1 : 0
              options.context = Unmanaged.passUnretained(self).toOpaque()
              options.on_header = curlHeader
              options.on_body = curlBody
              options.on_connected = curlConnected
              options.error = errorText
              return kfm_curl_easy_prepare(easy, &options)
            }
          }
        }
      }
    }
  }

  /// Gives back what libcurl worked with.
  func release() -> UnsafeMutableRawPointer? {
    kfm_curl_list_free(fields)
    fields = nil
    defer { easy = nil }
    return easy
  }

  /// A path that is too long is reached through its directory's descriptor.
  private func shortSocketPath(_ path: String) -> String {
    guard path.utf8.count > Self.unixPathBytesMax, let slash = path.lastIndex(of: "/") else {
      return path
    }
    directory = open(String(path[..<slash]), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    return directory < 0 ? path : "/proc/self/fd/\(directory)\(path[slash...])"
  }
}

private func withOptionalCString<Result>(
  _ one: String?, _ other: String?,
  _ body: (UnsafePointer<CChar>?, UnsafePointer<CChar>?) -> Result
) -> Result {
  switch (one, other) {
  case (let one?, let other?):
    one.withCString { one in other.withCString { body(one, $0) } }
  case (let one?, nil): one.withCString { body($0, nil) }
  case (nil, let other?): other.withCString { body(nil, $0) }
  case (nil, nil): body(nil, nil)
  }
}

// MARK: - What libcurl tells

extension CurlExchange {
  fileprivate func connected() { timer.connected() }

  /// False stops the transfer.
  fileprivate func headerLine(_ line: UnsafeRawBufferPointer) -> Bool {
    timer.advanced()
    // After the head only trailers come.
    guard !isOver, !isHeadComplete else { return !isOver }
    switch head.add(line: line) {
    case .incomplete: return true
    case .failed(let reason):
      failure = .protocolViolation(reason)
      return false
    case .complete:
      isHeadComplete = true
      events.onHead(head.status, head.fields)
      return true
    }
  }

  fileprivate func bodyBytes(_ bytes: UnsafeRawBufferPointer) {
    guard !isOver, !bytes.isEmpty else { return }
    timer.advanced()
    events.onBody(bytes)
  }
}

private func exchange(_ context: UnsafeMutableRawPointer?) -> CurlExchange {
  guard let context else { preconditionFailure("every transfer has a context") }
  return Unmanaged<CurlExchange>.fromOpaque(context).takeUnretainedValue()
}

private let curlHeader: kfm_curl_on_bytes = { bytes, size, count, context in
  let line = UnsafeRawBufferPointer(start: bytes, count: size * count)
  return exchange(context).headerLine(line) ? size * count : 0
}

private let curlBody: kfm_curl_on_bytes = { bytes, size, count, context in
  exchange(context).bodyBytes(UnsafeRawBufferPointer(start: bytes, count: size * count))
  return size * count
}

private let curlConnected: kfm_curl_on_connected = { context, _, _, _, _ in
  exchange(context).connected()
  return 0
}
