import Base
import Events
import LogBroker

/// `kfm log verify|inspect|repair`: the data directory's log, without a node.
struct LogCommand: Command {
  private enum Action {
    case verify, inspect
    case repair(acceptsClock: Bool)
  }

  static let verify = definition(
    "verify", "check every checksum and offset of the log", .verify,
    [
      Example("kfm log verify", "exit 10 when something is damaged"),
      Example("kfm log verify --data-dir /srv/kfm --json", "what is wrong, one object a line"),
    ])
  static let inspect = definition(
    "inspect", "segments, batches and gaps of the log", .inspect,
    [Example("kfm log inspect --json", "one JSON object a segment")])
  static let repair = CommandDefinition(
    words: ["log", "repair"],
    summary: "move what is damaged aside, keep what is whole, say what is lost",
    flags: [
      directory, .json,
      FlagDefinition(
        name: "accept-clock", kind: nil,
        summary: "the time is right now: records expire by age again after a jump of the clock"),
    ],
    examples: [Example("kfm log repair", "with the node stopped, after a backup")]
  ) { typed throws(UsageError) in
    LogCommand(typed, .repair(acceptsClock: typed.has("accept-clock")))
  }

  private static let directory = FlagDefinition(
    name: "data-dir", kind: .directory, summary: "which data directory (node.data_dir)")

  private static func definition(
    _ word: String, _ summary: String, _ action: Action, _ examples: [Example]
  ) -> CommandDefinition {
    CommandDefinition(
      words: ["log", word], summary: summary, flags: [directory, .json], examples: examples
    ) { typed throws(UsageError) in LogCommand(typed, action) }
  }

  private let action: Action
  private let config: String?
  private let directory: String?
  private let isJSON: Bool

  private init(_ typed: TypedArguments, _ action: Action) {
    self.action = action
    config = typed["config"]
    directory = typed["data-dir"]
    isJSON = typed.has("json")
  }

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    let root =
      if let directory {
        Path.absolute(directory, in: context.workingDirectory)
      } else {
        try NodeTarget.dataDirectory(context, config)
      }
    let key = try NodeTarget.logKey(context, config, isConfigured: directory == nil)
    let storage = DiskStorage(root: root)
    do throws(LogBrokerError) {
      switch action {
      case .repair(let acceptsClock):
        let repair = LogRepair(
          storage: storage, dataDirectory: root, acceptsClock: acceptsClock, key: key)
        show(try repair.run(), context.output)
        return .ok
      case .verify, .inspect:
        let report = try LogInspector(storage: storage, dataDirectory: root, key: key).inspect()
        if case .inspect = action {
          showSegments(report, context.output)
        } else {
          showProblems(report, context.output)
        }
        return report.problems.isEmpty ? .ok : .dataDamaged
      }
    } catch {
      throw CommandFailure(ExitCode(rawValue: error.exitCode) ?? .failed, error.description)
    }
  }

  // MARK: Output

  private func showProblems(_ report: LogReport, _ output: OutputWriter) {
    for problem in report.journalProblems {
      output.line(isJSON ? JSON.object(["problem": .string(problem)]).text : problem)
    }
    for partition in report.partitions {
      for problem in partition.problems {
        guard isJSON else {
          output.line("\(Self.name(partition.target)): \(problem)")
          continue
        }
        var line = Self.place(partition.target)
        line["problem"] = .string(problem)
        output.line(JSON.object(line).text)
      }
    }
    let records = report.partitions.reduce(0) {
      $0 + $1.segments.reduce($1.journalRecords) { $0 + $1.records }
    }
    let segments = report.partitions.reduce(0) { $0 + $1.segments.count }
    if isJSON {
      output.line(
        JSON.object([
          "partitions": .int(Int64(report.partitions.count)), "segments": .int(Int64(segments)),
          "records": .int(Int64(records)), "journal_groups": .int(Int64(report.journalGroups)),
          "torn_tails": .int(Int64(report.tornTails)),
          "problems": .int(Int64(report.problems.count)),
        ]).text)
    } else {
      output.line(
        "\(report.partitions.count) partitions, \(segments) segments, \(records) records: "
          + (report.problems.isEmpty ? "all whole" : "\(report.problems.count) problems"))
    }
  }

  private func showSegments(_ report: LogReport, _ output: OutputWriter) {
    guard isJSON else { return showTable(report, output) }
    for partition in report.partitions {
      for segment in partition.segments {
        var line = Self.place(partition.target)
        line["path"] = .string(segment.path)
        line["base"] = .int(Int64(clamping: segment.base))
        line["bytes"] = .int(Int64(segment.bytes))
        line["batches"] = .int(Int64(segment.batches))
        line["records"] = .int(Int64(segment.records))
        line["first_time"] = segment.firstTime.map { .string($0.rfc3339) } ?? .null
        line["last_time"] = segment.lastTime.map { .string($0.rfc3339) } ?? .null
        line["problems"] = .array(segment.problems.map { .string($0) })
        output.line(JSON.object(line).text)
      }
      var line = Self.place(partition.target)
      line["first_offset"] = .int(Int64(clamping: partition.firstOffset))
      line["end_offset"] = .int(Int64(clamping: partition.endOffset))
      line["journal_records"] = .int(Int64(partition.journalRecords))
      line["gaps"] = .array(partition.gaps.map(Self.json))
      output.line(JSON.object(line).text)
    }
  }

  private func showTable(_ report: LogReport, _ output: OutputWriter) {
    var table = TextTable([
      .init("TOPIC"), .init("PARTITION", .right), .init("BASE", .right), .init("BYTES", .right),
      .init("BATCHES", .right), .init("RECORDS", .right), .init("STATE"),
    ])
    for partition in report.partitions {
      for segment in partition.segments {
        table.add([
          partition.target.topic.name, "\(partition.target.partition)", "\(segment.base)",
          Quantity.bytes(segment.bytes), "\(segment.batches)", "\(segment.records)",
          segment.problems.isEmpty ? "whole" : "damaged",
        ])
      }
    }
    table.write(to: output)
  }

  private func show(_ outcome: LogRepair.Outcome, _ output: OutputWriter) {
    for journal in outcome.journals { show(journal.problem, journal.movedTo, output) }
    for loss in outcome.losses {
      guard !isJSON else {
        var line = Self.place(loss.target)
        line["lost"] = .array(loss.offsets.map(Self.json))
        line["moved_to"] = .array(loss.movedTo.map { .string($0) })
        output.line(JSON.object(line).text)
        continue
      }
      let ranges = loss.offsets.map { "\($0.lowerBound)–\($0.upperBound - 1)" }
      let lost = ranges.isEmpty ? "none" : ranges.joined(separator: ", ")
      output.line(
        "\(Self.name(loss.target)): lost offsets \(lost)"
          + loss.movedTo.map { "; the damaged file is \($0)" }.joined())
    }
    if outcome.losses.isEmpty, outcome.journals.isEmpty, !isJSON {
      output.line("nothing is damaged")
    }
  }

  /// What a journal lost, beyond what gaps tell, is not known.
  private func show(_ problem: String, _ movedTo: String?, _ output: OutputWriter) {
    guard !isJSON else {
      return output.line(
        JSON.object([
          "problem": .string(problem), "moved_to": .array(movedTo.map { [.string($0)] } ?? []),
          "offsets_skipped": .int(Int64(LogRepair.offsetsSkipped)),
        ]).text)
    }
    output.line(
      "\(problem)\(movedTo.map { "; it is \($0) now" } ?? ""): the newest records of any partition "
        + "may be lost; each goes on \(LogRepair.offsetsSkipped) offsets higher")
  }

  private static func name(_ target: TopicPartition) -> String {
    "\(target.topic.name)/\(target.partition)"
  }

  private static func place(_ target: TopicPartition) -> JSONObject {
    [
      "stream": .string(target.topic.stream), "topic": .string(target.topic.name),
      "partition": .int(Int64(target.partition)),
    ]
  }

  private static func json(_ range: Range<UInt64>) -> JSON {
    [.int(Int64(clamping: range.lowerBound)), .int(Int64(clamping: range.upperBound))]
  }
}
