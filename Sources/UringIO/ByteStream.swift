/// What a plain and a secured connection have in common. Generic code takes it as a type parameter,
/// so that each kind is compiled on its own and nothing is looked up at run time.
package protocol ByteStream: AnyObject {
  /// See `Socket`, whose rules hold for all of these.
  var onReceive: ((UnsafeRawBufferPointer) -> Void)? { get set }
  var onEnd: ((SocketEnd) -> Void)? { get set }
  var onDrained: (() -> Void)? { get set }
  var onClosed: (() -> Void)? { get set }
  var lowWaterBytes: Int { get set }
  var queuedBytes: Int { get }

  func startReceiving()
  func pauseReceiving()
  func resumeReceiving()
  func send(_ bytes: [UInt8])
  func send(_ bytes: UnsafeRawBufferPointer)
  func shutdownWrite()
  func close()
  func closeAfterSending()
}

extension Socket: ByteStream {}
