package import Base

/// Sizes of the log's parts, in bytes. The defaults are what a node uses; tests use small ones.
package struct LogLimits: Sendable, Hashable {
  /// The unit of journal writes: no sector that holds acknowledged data is ever written again, so
  /// that tearing one cannot harm it. 4 KiB is what disks and page cache work in.
  package static let blockBytes = 4_096
  /// A record's payload. Larger content belongs into blobs (SEMANTICS D34, chunks of 1 MiB).
  package static let recordBytesMax = 8 << 20
  /// Payloads that wait for a commit; above it the bus answers that it is overloaded.
  package static let pendingBytesMax = 64 << 20
  /// Written and acknowledged, but not synced: on `replicated` topics only.
  package static let unsyncedBytesMax = 64 << 20
  /// A sync is asked for when something has been unsynced for this long: half of the second that is
  /// promised, the rest is for the sync.
  package static let unsyncedTimeMax = Nanoseconds.milliseconds(500)
  /// A group of `replicated` records up to this is stored in the journal's mapped pages, larger ones
  /// are written.
  package static let storedBytesMax = 64 << 10
  /// Pages of the journal that are made ready ahead, in one piece; there are two at most, while
  /// there are such groups, and none otherwise. What a sync finds unused it writes in vain.
  package static let windowBytesMin = 64 << 10
  package static let windowBytesMax = 1 << 20
  /// Pages made ready so long ago are not stored to: the kernel writes back by itself what has
  /// waited for 30 s (`vm.dirty_expire_centisecs`).
  package static let windowTimeMax = Nanoseconds.seconds(5)
  /// Read buffers: one read of this size per poll from disk, and so many kept for the next.
  package static let readBytes = 256 << 10
  package static let readBuffersKept = 8
  /// Memory of direct writes that is kept for readers at the end.
  package static let directBytesKept = 4 << 20
  /// Memory that readers hold of what was read from segments, all of them together.
  package static let leasedBytesMax = 256 << 20
  /// The same for one `PartitionReader`, and how long it may hold a piece of it.
  package static let leaseBytesMax = 16 << 20
  package static let leaseTimeMax = Nanoseconds.seconds(30)
  /// Message ids that a partition with a deduplication window remembers.
  package static let deduplicationIDsMax = 65_536
  /// A sparse index has an entry about every so many bytes.
  package static let indexIntervalBytes = 64 << 10
  /// Segment files kept open.
  package static let openFilesMax = 128
  /// The same, for direct writes.
  package static let openDirectFilesMax = 64
  /// Room that is made in a segment's file ahead of direct writes, at most: a file system that is
  /// nearly full keeps what it could give of a request that it refused.
  package static let roomBytesMax = 64 << 20
  /// Partitions, and directories, that a checkpoint makes durable at the same time.
  /// Few, so that commits beside it find the disk free: with 32 it takes half the time, and the
  /// slowest commits three times theirs.
  package static let checkpointWidth = 4
  /// A journal file becomes larger by so much at a time.
  package static let journalPieceBytes = 1 << 20

  /// Each of the two journal files. Together they bound what recovery has to read and, with the
  /// flush size, what waits in memory.
  package var journalBytes = 16 << 20
  /// The same where more than `manyPartitions` hold records: a checkpoint costs a file's sync for each
  /// that has got some, so it should come seldom.
  package var journalBytesOfMany = 128 << 20
  package var manyPartitions = 1_000
  /// Appends are joined into one commit up to this; a larger single append is one of its own.
  package var groupBytesMax = 4 << 20
  /// A partition's records go to its segment file when so many bytes have gathered in memory.
  package var flushBytes = 64 << 10
  /// A segment that has reached this is closed and the next begins.
  package var segmentBytesMax = 64 << 20
  /// A batch whose frame has this size is written once, directly to its segment.
  package var directBytesMin = 64 << 10
  /// Direct writes under way, in bytes; one at least.
  package var directWindowBytes = 16 << 20
  /// Direct writes since the last checkpoint that ask for the next: what recovery has to read.
  package var directCheckpointBytes = 64 << 20

  /// A smaller segment is not worth packing.
  package var packBytesMin = 64 << 10

  /// How often it is looked what retention takes away by age.
  package var retentionInterval = Nanoseconds.seconds(60)
  /// Files of deleted segments that are kept for new ones.
  package var recycledFilesMax = 8

  package init() {}
}
