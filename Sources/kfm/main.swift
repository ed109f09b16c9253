import Commands

CommandLineProcess.run(CommandLine.arguments) { _ throws(CommandFailure) in
  throw CommandFailure(.failed, "this build has no node")
}
