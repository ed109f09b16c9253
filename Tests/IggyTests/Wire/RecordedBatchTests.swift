// Contract: what the codec writes is, byte for byte, what the official SDK sends and what a real
// server answers; both validate. (A recording shows what those releases did, not what others do.)

import Base
import Iggy
import Testing

/// The batch of a SendMessages body: after the metadata, whose length comes first.
private func sentBatch(_ name: String) throws -> [UInt8] {
  let body = try RecordedFrames.request(name)
  let metadata = body.withUnsafeBytes { Int($0.littleEndian(at: 0, as: UInt32.self)) }
  return Array(body.dropFirst(4 + metadata))
}

/// The batches of a PollMessages reply, after its 16-byte prefix.
private func polledBatches(_ name: String) throws -> [[UInt8]] {
  var rest = Array(try RecordedFrames.response(name).dropFirst(16))
  var batches: [[UInt8]] = []
  while !rest.isEmpty {
    let count = try rest.withUnsafeBytes { try BatchView($0).bytes.count }
    batches.append(Array(rest.prefix(count)))
    rest.removeFirst(count)
  }
  return batches
}

/// Reads every message of `batch` and writes them again.
private func rewritten(_ batch: [UInt8]) throws -> [UInt8] {
  var out = [UInt8](repeating: 0xEE, count: batch.count)
  try out.withUnsafeMutableBytes { memory in
    try batch.withUnsafeBytes { bytes in
      let view = try BatchView(bytes)
      var writer = BatchWriter(into: memory, originTimestamp: view.header.originTimestamp)
      var cursor = BatchView.Cursor(view)
      while let message = try cursor.next() {
        try writer.beginMessage(
          id: message.header.id, timestamp: message.originTimestamp,
          payload: bytes.slice(message.payload))
        writer.addHeaders(bytes.slice(message.userHeaders))
        try writer.endMessage()
      }
      writer.finish()
    }
  }
  return out
}

@Suite struct RecordedBatchTests {
  static let sends = [
    "019_send_balanced_0__send_messages", "023_send_partition_id_headers__send_messages",
  ]
  static let polls = [
    "026_poll_first__poll_messages", "027_poll_last__poll_messages",
    "030_poll_next__poll_messages", "031_poll_next_after_commit__poll_messages",
  ]

  @Test(arguments: sends) func sendIsReproduced(name: String) throws {
    let batch = try sentBatch(name)
    try batch.withUnsafeBytes { try BatchView($0).validate() }
    #expect(try rewritten(batch) == batch)
  }

  @Test(arguments: polls) func pollValidates(name: String) throws {
    let batches = try polledBatches(name)
    #expect(!batches.isEmpty)
    for batch in batches { try batch.withUnsafeBytes { try BatchView($0).validate() } }
  }

  @Test func emptyPollHasNoBatch() throws {
    #expect(try polledBatches("032_poll_next_empty__poll_messages").isEmpty)
  }

  /// The batch that was sent, stamped with what the server chose, is the batch that was polled.
  @Test func stampGivesTheServersBytes() throws {
    let stored = try #require(try polledBatches("027_poll_last__poll_messages").last)
    var sent = try sentBatch("023_send_partition_id_headers__send_messages")
    let header = try stored.withUnsafeBytes { try BatchHeader($0) }
    #expect(header.messageCount == 2)
    try sent.withUnsafeMutableBytes {
      try BatchHeader.stamp(
        .init(
          partitionID: header.partitionID, baseOffset: header.baseOffset,
          baseTimestamp: header.baseTimestamp), in: $0)
    }
    #expect(sent == stored)
  }

  /// A poll that wants the first of its two messages gets the bytes the server made of them.
  @Test func sliceGivesTheServersBytes() throws {
    let stored = try #require(try polledBatches("027_poll_last__poll_messages").last)
    let sliced = try #require(try polledBatches("030_poll_next__poll_messages").last)
    try stored.withUnsafeBytes { bytes in
      let view = try BatchView(bytes)
      let slice = try #require(try view.slice(from: view.header.baseOffset, countMax: 1))
      var out = [UInt8](repeating: 0xEE, count: slice.length)
      out.withUnsafeMutableBytes { _ = view.write(slice, to: $0) }
      #expect(out == sliced)
    }
  }

  @Test func messageAndHeadersAreRead() throws {
    let batch = try sentBatch("023_send_partition_id_headers__send_messages")
    try batch.withUnsafeBytes { bytes in
      var cursor = BatchView.Cursor(try BatchView(bytes))
      let first = try #require(try cursor.next())
      #expect(first.header.checksum == 0x5521_C8B5_10ED_0770)
      #expect(first.header.id == 42)
      #expect(bytes.slice(first.payload).elementsEqual("hello".utf8))
      let headers = UserHeaders(bytes.slice(first.userHeaders))
      #expect(headers.value(of: "trace").map { $0.elementsEqual("abc".utf8) } == true)
      #expect(headers.value(of: "trac") == nil)
      var reader = headers
      #expect(try reader.next()?.valueKind == .uint32)
      #expect(try reader.next()?.valueKind == .string)
      #expect(try reader.next() == nil)
      let second = try #require(try cursor.next())
      #expect(second.header.id == 43 && second.offset == 1)
      #expect(try cursor.next() == nil)
    }
  }
}
