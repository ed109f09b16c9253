package import Base
import CCurl
package import UringIO

/// `HTTPTransport` by libcurl's multi-socket interface, driven by the loop: libcurl says which
/// descriptors and which timer it waits for, the loop tells it when they are due. Names are
/// resolved by libcurl's own threads. libcurl is loaded when the first request starts.
package final class CurlTransport: HTTPTransport {
  let loop: EventLoop
  let certificateFile: String?
  private var multi: UnsafeMutableRawPointer?
  private var polls: [curl_socket_t: PollRegistration] = [:]
  private var timer: (any Cancellable)?
  private var exchanges: [ObjectIdentifier: CurlExchange] = [:]
  /// Transfers to be taken from libcurl when it has returned: it must not be called from its own
  /// callbacks.
  private var stopped: [CurlExchange] = []
  private var isInside = false
  private var spares: [UnsafeMutableRawPointer] = []

  /// Idle connections kept for later requests, over all hosts.
  private static let connectionsKept = 64
  /// Transfer handles kept for later requests; each holds a few KiB.
  private static let sparesMax = 64

  /// Servers are trusted by the system's certificates, or by those of the PEM file given instead.
  package init(loop: EventLoop, certificateFile: String? = nil) {
    self.loop = loop
    self.certificateFile = certificateFile
  }

  deinit { close() }

  /// The libraries behind it, for `version`; loads them.
  package static var libraryVersion: String { String(cString: kfm_curl_version()) }

  package func start(
    _ request: HTTPClientRequest, _ events: HTTPResponseEvents
  ) -> any Cancellable {
    let exchange = CurlExchange(self, request, events)
    exchanges[ObjectIdentifier(exchange)] = exchange
    // Later: this may be a callback of libcurl, and events never come from inside this call.
    loop.enqueue { [weak self] in self?.begin(exchange) }
    return exchange
  }

  /// Gives up all exchanges without a word, and closes all connections.
  package func close() {
    precondition(!isInside, "a transport cannot be closed from an event of its exchanges")
    for exchange in exchanges.values {
      exchange.abandon()
      release(exchange)
    }
    for easy in spares { kfm_curl_easy_free(easy) }
    spares = []
    if let multi { kfm_curl_multi_free(multi) }
    multi = nil
    timer?.cancel()
    for poll in polls.values { poll.cancel() }
    polls = [:]
  }

  /// Takes a cancelled exchange from libcurl, which closes its connection.
  func stop(_ exchange: CurlExchange) {
    if isInside { stopped.append(exchange) } else { release(exchange) }
  }
}

// MARK: - Exchanges

extension CurlTransport {
  private func begin(_ exchange: CurlExchange) {
    guard !exchange.isOver else { return }
    do throws(TransportFailure) {
      guard HTTPURL(exchange.request.url) != nil else {
        throw .requestInvalid("the URL is not one of http or https")
      }
      let multi = try loadedMulti()
      guard let easy = spares.popLast() ?? kfm_curl_easy_new() else {
        throw .unreachable("libcurl has no memory for a transfer")
      }
      if let failure = exchange.prepare(easy) { throw failure }
      exchange.timer.onTimeout = { [weak exchange, weak self] phase in
        guard let exchange else { return }
        self?.release(exchange)
        exchange.end(.failure(.timeout(phase)))
      }
      exchange.timer.start()
      let code = isolated { kfm_curl_multi_add(multi, easy) }
      guard code == CURLM_OK else { throw .unreachable("libcurl refused the transfer: \(code)") }
    } catch {
      release(exchange)
      exchange.end(.failure(error))
    }
  }

  private func loadedMulti() throws(TransportFailure) -> UnsafeMutableRawPointer {
    if let multi { return multi }
    if let problem = kfm_curl_load() {
      throw .unreachable("libcurl cannot be loaded: \(String(cString: problem))")
    }
    let context = Unmanaged.passUnretained(self).toOpaque()
    guard
      let new = kfm_curl_multi_new(context, curlSocket, curlTimer, Self.connectionsKept)
    else { throw .unreachable("libcurl has no memory") }
    multi = new
    return new
  }

  /// Takes the exchange from libcurl and the table; nothing is told to its owner.
  private func release(_ exchange: CurlExchange) {
    exchanges[ObjectIdentifier(exchange)] = nil
    guard let multi, let easy = exchange.easy else { return }
    isolated { _ = kfm_curl_multi_remove(multi, easy) }
    _ = exchange.release()
    guard spares.count < Self.sparesMax else { return kfm_curl_easy_free(easy) }
    kfm_curl_easy_reset(easy)
    spares.append(easy)
  }

  private func isolated<Result>(_ body: () -> Result) -> Result {
    let was = isInside
    isInside = true
    defer { isInside = was }
    return body()
  }
}

// MARK: - Driving libcurl

extension CurlTransport {
  private func act(_ socket: curl_socket_t, _ events: Int32) {
    guard let multi else { return }
    var running: Int32 = 0
    isolated { _ = kfm_curl_multi_act(multi, socket, events, &running) }
    settle(multi)
  }

  /// Deals with what ended or was cancelled meanwhile.
  private func settle(_ multi: UnsafeMutableRawPointer) {
    while let exchange = stopped.popLast() { release(exchange) }
    var code = CURLE_OK
    var context: UnsafeMutableRawPointer?
    while self.multi == multi, kfm_curl_multi_finished(multi, &code, &context) != nil {
      guard let context else { continue }
      let exchange = Unmanaged<CurlExchange>.fromOpaque(context).takeUnretainedValue()
      release(exchange)
      exchange.finished(code)
    }
  }

  fileprivate func watch(_ socket: curl_socket_t, _ what: Int32) {
    guard what != CURL_POLL_REMOVE else {
      polls.removeValue(forKey: socket)?.cancel()
      return
    }
    var events: PollEvents = []
    if what & CURL_POLL_IN != 0 { events.insert(.readable) }
    if what & CURL_POLL_OUT != 0 { events.insert(.writable) }
    if let poll = polls[socket] { return poll.update(events) }
    polls[socket] = loop.poll(descriptor: socket, events: events) { [weak self] found in
      self?.ready(socket, found)
    }
  }

  private func ready(_ socket: curl_socket_t, _ found: PollEvents) {
    var events: Int32 = 0
    if found.contains(.readable) || found.contains(.hangup) { events |= CURL_CSELECT_IN }
    if found.contains(.writable) { events |= CURL_CSELECT_OUT }
    if found.contains(.error) { events |= CURL_CSELECT_ERR }
    act(socket, events)
  }

  fileprivate func setTimer(milliseconds: Int) {
    timer?.cancel()
    timer = nil
    guard milliseconds >= 0 else { return }
    timer = loop.schedule(after: .milliseconds(Int64(milliseconds))) { [weak self] in
      self?.act(CURL_SOCKET_TIMEOUT, 0)
    }
  }
}

private func transport(_ context: UnsafeMutableRawPointer?) -> CurlTransport {
  guard let context else { preconditionFailure("every multi handle has a context") }
  return Unmanaged<CurlTransport>.fromOpaque(context).takeUnretainedValue()
}

private let curlSocket: kfm_curl_on_socket = { _, socket, what, context, _ in
  transport(context).watch(socket, what)
  return 0
}

private let curlTimer: kfm_curl_on_timer = { _, milliseconds, context in
  transport(context).setTimer(milliseconds: milliseconds)
  return 0
}
