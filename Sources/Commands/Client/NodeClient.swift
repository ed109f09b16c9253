import Base
import HTTP
import UringIO

/// A command's connection to a node: a loop of its own and a transport on it. Commands wait by
/// running the loop.
final class NodeClient {
  /// Bytes of an answer that is taken as a whole: a page of the largest list is far below.
  private static let replyBytesMax = 64 << 20

  let loop: EventLoop
  let target: NodeTarget
  private let transport: any HTTPTransport

  init(
    _ context: CommandContext, target: NodeTarget, options: EventLoopOptions = .client
  ) throws(CommandFailure) {
    self.target = target
    loop = try EventLoop.forCommand(context, options: options)
    transport = context.makeTransport(loop)
  }

  @discardableResult
  func start(_ request: NodeRequest, _ events: HTTPResponseEvents) -> any Cancellable {
    transport.start(request.request(to: target), events)
  }

  /// Sends a request and waits for its whole answer, whatever its status.
  func fetch(_ request: NodeRequest) throws(CommandFailure) -> NodeReply {
    var reply = NodeReply()
    var end: Result<Void, TransportFailure>?
    let events = HTTPResponseEvents(
      onHead: { status, _ in reply.status = status },
      onBody: { bytes in
        if reply.body.count + bytes.count <= Self.replyBytesMax {
          reply.body.append(contentsOf: bytes)
        } else {
          reply.isCut = true
        }
      },
      onEnd: { end = $0 })
    let exchange = start(request, events)
    _ = loop.runUntil({ end != nil }, deadline: request.total + .seconds(5))
    switch end {
    case nil:
      exchange.cancel()
      throw failure(.timeout(.total))
    case .failure(let error): throw failure(error)
    case .success: break
    }
    guard !reply.isCut else {
      throw CommandFailure(.failed, "the node's answer is over \(Self.replyBytesMax >> 20) MiB")
    }
    return reply
  }

  /// The answer's JSON; a refusal is a failure.
  func json(_ request: NodeRequest) throws(CommandFailure) -> JSON {
    let reply = try fetch(request)
    guard (200..<300).contains(reply.status) else { throw reply.refusal }
    guard let value = reply.json else {
      throw CommandFailure(.failed, "\(target.description) answered with something else than JSON")
    }
    return value
  }

  /// All items of a list, page by page, at most `limit`.
  func items(_ path: String, limit: Int = .max) throws(CommandFailure) -> [JSON] {
    var items: [JSON] = []
    var cursor: String?
    repeat {
      let mark = path.contains("?") ? "&" : "?"
      let page = try json(NodeRequest(path: path + (cursor.map { "\(mark)cursor=\($0)" } ?? "")))
      items += page["items"]?.array ?? []
      cursor = page["next_cursor"]?.string
    } while cursor != nil && items.count < limit
    return Array(items.prefix(limit))
  }

  func failure(_ error: TransportFailure) -> CommandFailure {
    let name = target.description
    let remedy = target.isLocal ? "; start a node with `kfm serve`" : "; is KFM_URL right?"
    switch error {
    case .requestInvalid(let why): return CommandFailure(.usage, "\(name): \(why)")
    case .unreachable, .nameUnknown:
      return CommandFailure(.unreachable, "no node answers at \(name)\(remedy)")
    case .untrusted(let why):
      return CommandFailure(.unreachable, "\(name) cannot be trusted: \(why)")
    case .timeout(let phase):
      let what = phase == .connect ? "took no connection" : "did not answer"
      return CommandFailure(.unreachable, "the node at \(name) \(what) in time")
    case .cut:
      return CommandFailure(.unreachable, "the node at \(name) closed the connection")
    case .protocolViolation(let why):
      return CommandFailure(.failed, "\(name) is no node: \(why)")
    }
  }

  func close() { loop.close() }
}

/// A whole answer.
struct NodeReply {
  var status = 0
  var body: [UInt8] = []
  /// There was more than is taken.
  var isCut = false

  var json: JSON? { try? body.withUnsafeBytes { try JSON(parsing: $0) } }

  /// What the node said, as the command's failure.
  var refusal: CommandFailure {
    let problem = json
    let code = problem?["code"]?.string
    let detail = problem?["detail"]?.string ?? "status \(status)"
    let place = problem?["pointer"]?.string.map { $0.isEmpty ? "" : " at \($0)" } ?? ""
    return CommandFailure(
      Self.exitCode(status: status),
      "the node refused: \(detail)" + (code.map { " (\($0)\(place))" } ?? ""))
  }

  static func exitCode(status: Int) -> ExitCode {
    switch status {
    case 401, 403: .unauthorised
    case 503: .unreachable
    default: .failed
    }
  }
}

extension EventLoopOptions {
  /// A command has a handful of descriptors.
  static var client: EventLoopOptions {
    var options = EventLoopOptions()
    options.submissionEntries = 64
    options.completionEntries = 256
    options.receiveBuffers = 0
    return options
  }
}

extension EventLoop {
  /// A loop for a command, or why this machine gives it none.
  static func forCommand(
    _ context: CommandContext, options: EventLoopOptions = .client
  ) throws(CommandFailure) -> EventLoop {
    do throws(RingFailure) {
      return try EventLoop(options: options, clock: context.clock)
    } catch {
      throw CommandFailure(.ringForbidden, error.description)
    }
  }
}
