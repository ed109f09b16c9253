package import Base

/// The node's whole configuration, checked; paths are absolute.
package struct NodeConfiguration: Sendable {
  package struct Node: Sendable, Hashable {
    package var id: String
    package var dataDirectory: String
    package var roles: [String]
    /// `auto` or `uring`.
    package var io: String
    package var loops: Int
    package var drainTimeout: Nanoseconds
  }

  package struct HTTP: Sendable, Hashable {
    package var listen: ListenAddress
    package var bodyMax: ByteCount
    package var allowedHosts: [String]
    package var allowedOrigins: [String]
  }

  package struct Bus: Sendable, Hashable {
    /// A power of two.
    package var partitions: Int
    /// `persisted` or `replicated`: the least any topic gets.
    package var durability: String
    /// Names of topics whose closed segments are packed.
    package var compress: [String]
    /// 64 hexadecimal digits, not checked yet.
    package var encryptionKey: Secret?
    package var clockSkewMax: Nanoseconds
  }

  package struct Engine: Sendable, Hashable {
    /// `queue`.
    package var sessionPolicy: String
    package var queueMax: Int
    package var turnDeadline: Nanoseconds
    package var stepTimeout: Nanoseconds
    package var attemptsMax: Int
    package var toolRoundsMax: Int
    package var takeoversMax: Int
    /// `continue` or `cancel`.
    package var onDisconnect: String
    package var drain: Nanoseconds
    package var lease: Nanoseconds
  }

  package struct Memory: Sendable, Hashable {
    /// `auto`, `static` or `hash`.
    package var embedder: String
    package var indexDirectory: String
    /// `hybrid`, `vector` or `text`.
    package var search: String
    package var historyTokens: Int
  }

  package struct Provider: Sendable, Hashable {
    package var name: String
    /// `openai`, `local`, `extractive` or `scripted`.
    package var kind: String
    package var baseURL: String?
    package var apiKey: Secret?
    /// The first is the default; never empty for `openai`.
    package var models: [String]
    package var headers: [String: Secret]
    package var prices: [String: ModelPrice]
    package var timeoutConnect: Nanoseconds
    package var timeoutFirstByte: Nanoseconds
    package var timeoutIdle: Nanoseconds
    package var timeoutTotal: Nanoseconds
    package var modelDirectory: String
    package var threads: Int
  }

  package struct Route: Sendable, Hashable {
    package var name: String
    /// `provider/model`, in the order they are tried.
    package var use: [String]
  }

  package struct Packs: Sendable, Hashable {
    package var directory: String
    package var `default`: String?
  }

  package struct Sandbox: Sendable, Hashable {
    /// `bwrap` or `off`.
    package var process: String
    /// `wasmtime` or `off`.
    package var wasm: String
    package var memory: ByteCount
    package var cpu: Nanoseconds
    package var wall: Nanoseconds
    package var output: ByteCount
  }

  /// Zero is for ever.
  package struct Retention: Sendable, Hashable {
    package var deltas: Nanoseconds
    package var calls: Nanoseconds
    package var turns: Nanoseconds
    package var deadLetters: Nanoseconds
  }

  package struct Log: Sendable, Hashable {
    package var level: LogLevel
    /// `json` or `text`.
    package var format: String
    package var modules: [String: LogLevel]
  }

  package struct Load: Sendable, Hashable {
    /// Micro-units.
    package var spendMax: Int
  }

  package var node: Node
  package var http: HTTP
  package var bus: Bus
  package var engine: Engine
  package var memory: Memory
  /// Empty: the choice is automatic.
  package var providers: [Provider]
  package var routes: [Route]
  package var packs: Packs
  package var sandbox: Sandbox
  package var retention: Retention
  package var log: Log
  package var load: Load
}
