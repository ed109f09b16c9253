import Commands

CommandLineProcess.run(CommandLine.arguments, serve: NodeServer.serve)
