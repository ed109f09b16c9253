import CURing
import Glibc

extension Ring {
  /// Queues an operation, submitted with the rest of this turn. A `linked` one is followed by the
  /// next in the same submission (see `reserve`), which runs only after the whole of it.
  func submit(_ request: Request, _ id: OperationID, linked: Bool) {
    let entry = entry()
    prepare(entry, request)
    if linked { kfm_sqe_link(entry) }
    entry.pointee.user_data = id.raw
  }

  /// Asks the kernel to end an operation; its owner still gets the last completion.
  func cancel(_ id: OperationID) {
    let entry = entry()
    io_uring_prep_cancel64(entry, id.raw, 0)
    entry.pointee.user_data = OperationID.none.raw
  }

  func cancelAll() {
    let entry = entry()
    io_uring_prep_cancel64(
      entry, 0, Int32(IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL))
    entry.pointee.user_data = OperationID.none.raw
  }

  private func prepare(_ entry: Entry, _ request: Request) {
    switch request {
    case .accept(let descriptor, let single):
      let flags = Int32(SOCK_CLOEXEC.rawValue)
      if single {
        io_uring_prep_accept(entry, descriptor, nil, nil, flags)
      } else {
        io_uring_prep_multishot_accept(entry, descriptor, nil, nil, flags)
      }
    case .connect(let descriptor, let address, let length):
      io_uring_prep_connect(entry, descriptor, address, length)
    case .receive(let descriptor):
      io_uring_prep_recv_multishot(entry, descriptor, nil, 0, 0)
      kfm_sqe_select_buffer(entry)
    case .receiveOnce(let descriptor):
      io_uring_prep_recv(entry, descriptor, nil, 0, 0)
      kfm_sqe_select_buffer(entry)
    case .receiveInto(let descriptor, let buffer):
      io_uring_prep_recv(entry, descriptor, buffer.baseAddress, buffer.count, 0)
    case .send(let descriptor, let bytes):
      io_uring_prep_send(entry, descriptor, bytes.baseAddress, bytes.count, Self.sendFlags)
    case .sendMessage(let descriptor, let message):
      io_uring_prep_sendmsg(entry, descriptor, message, UInt32(Self.sendFlags))
    case .read, .write, .sync: prepareFile(entry, request)
    case .poll(let descriptor, let events):
      io_uring_prep_poll_add(entry, descriptor, events)
    case .wake(let descriptor):
      io_uring_prep_poll_multishot(entry, descriptor, UInt32(POLLIN))
    }
  }

  private func prepareFile(_ entry: Entry, _ request: Request) {
    switch request {
    case .read(let descriptor, let buffer, let offset):
      io_uring_prep_read(entry, descriptor, buffer.baseAddress, UInt32(buffer.count), offset)
    case .write(_, let pieces, _) where pieces.isEmpty: io_uring_prep_nop(entry)
    case .write(let descriptor, let pieces, let offset):
      if pieces.count == 1, let index = registration(of: pieces[0]) {
        io_uring_prep_write_fixed(
          entry, descriptor, pieces[0].iov_base, UInt32(pieces[0].iov_len), offset, index)
      } else {
        io_uring_prep_writev(
          entry, descriptor, pieces.baseAddress, UInt32(pieces.count), offset)
      }
    case .sync(let descriptor):
      io_uring_prep_fsync(entry, descriptor, UInt32(IORING_FSYNC_DATASYNC))
    default: preconditionFailure("no operation on a file")
    }
  }

  /// WAITALL: the kernel goes on after a short send instead of coming back to us.
  private static let sendFlags = Int32(MSG_NOSIGNAL | MSG_WAITALL)
}
