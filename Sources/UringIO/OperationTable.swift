/// What an operation in flight does; its owner tells its completions apart by this.
enum Operation: UInt8 {
  case accept, connect, receive, send, read, write, sync, poll
}

/// The owner of operations in flight. The table holds it strongly until the last completion of
/// each of its operations, so buffers that belong to the owner outlive the kernel's use of them.
protocol RingClient: AnyObject {
  func completed(_ operation: Operation, result: Int32, flags: CompletionFlags)
  /// The loop closes: nothing will complete any more. Drop callbacks, release descriptors.
  func abandoned()
}

/// Names one operation in flight: slot and generation, the `user_data` of its submission. A
/// completion that carries an old generation belongs to nobody and is dropped.
struct OperationID: Equatable {
  let raw: UInt64

  /// For submissions whose completion nobody waits for. Generations begin at 1, so no slot has it.
  static let none = OperationID(raw: 0)
}

/// Operations in flight, indexed by slot. No dictionary and no allocation per operation.
struct OperationTable {
  private struct Slot {
    var client: (any RingClient)?
    var generation: UInt32 = 1
    var operation = Operation.poll
    /// The next free slot, while this one is free.
    var next: UInt32 = Self.end

    static let end = UInt32.max
  }

  private var slots: ContiguousArray<Slot> = []
  private var free = Slot.end
  private(set) var count = 0

  mutating func insert(_ client: any RingClient, _ operation: Operation) -> OperationID {
    if free == Slot.end {
      slots.append(Slot())
      free = UInt32(slots.count - 1)
    }
    let index = free
    count += 1
    let generation = withSlot(index) { slot in
      slot.client = client
      slot.operation = operation
      return (slot.generation, slot.next)
    }
    free = generation.1
    return OperationID(raw: UInt64(generation.0) << 32 | UInt64(index))
  }

  /// The owner of a completion. With `last` the slot is free again afterwards.
  mutating func take(_ raw: UInt64, last: Bool) -> (any RingClient, Operation)? {
    let index = Int(truncatingIfNeeded: raw & 0xFFFF_FFFF)
    guard index < slots.count, slots[index].generation == UInt32(raw >> 32),
      let client = slots[index].client
    else { return nil }
    let operation = slots[index].operation
    if last { release(UInt32(index)) }
    return (client, operation)
  }

  /// Everyone who still waits, each once per operation; the table is empty afterwards.
  mutating func takeAll() -> [any RingClient] {
    let clients = slots.compactMap(\.client)
    slots = []
    free = Slot.end
    count = 0
    return clients
  }

  private mutating func release(_ index: UInt32) {
    let head = free
    withSlot(index) { slot in
      slot.client = nil
      // Generation 0 is never used: see OperationID.none.
      slot.generation = slot.generation == .max ? 1 : slot.generation + 1
      slot.next = head
    }
    free = index
    count -= 1
  }

  private mutating func withSlot<T>(_ index: UInt32, _ body: (inout Slot) -> T) -> T {
    body(&slots[Int(index)])
  }
}
