import Testing

/// The real program from the outside: real processes, sockets, kills, disks. One at a time: each
/// test has the machine's two cores for itself.
@Suite(.serialized) enum NodeTests {}
