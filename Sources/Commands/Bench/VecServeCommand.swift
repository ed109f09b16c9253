import Base
import VectorIndex

/// `kfm bench vec-serve`: the index behind a protocol of JSON lines, so that any harness can run it
/// beside other libraries.
struct VecServeCommand: Command {
  static let definition = CommandDefinition(
    words: ["bench", "vec-serve"],
    summary: "drive the vector index by JSON lines on standard input",
    flags: [
      IndexCommands.storageFlag,
      FlagDefinition(
        name: "simd", kind: .choice(InstructionSet.allCases.map(\.rawValue)),
        summary: "no instructions beyond these (the processor's widest)"),
    ],
    examples: [
      Example(
        "kfm bench vec-serve", "answers one line a line: hello open build search filter add …"),
      Example("kfm bench vec-serve --storage compact --simd avx2", "small rows, older processors"),
    ]
  ) { typed throws(UsageError) in
    VecServeCommand(
      storage: VectorIndex.Storage(commandLine: typed["storage"]) ?? .standard,
      instructions: typed["simd"].flatMap(InstructionSet.init))
  }

  let storage: VectorIndex.Storage
  let instructions: InstructionSet?

  /// A line names files and numbers; one that is longer is no request.
  private static let lineBytesMax = ByteCount(1 << 20)

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    if let instructions { VectorIndex.limitInstructions(to: instructions) }
    var session = VecServeSession(storage: storage)
    while !session.isOver, context.output.isOpen {
      switch context.input.readLine(limit: Self.lineBytesMax) {
      case .end: return .ok
      case .failed:
        throw CommandFailure(
          .failed, "a line of more than \(Self.lineBytesMax.sizeText), or input that failed")
      case .line(let line):
        guard line.contains(where: { $0 != 0x20 && $0 != 0x0D }) else { continue }
        context.output.line(session.answer(line).text)
        context.output.flush()
      }
    }
    return .ok
  }
}
