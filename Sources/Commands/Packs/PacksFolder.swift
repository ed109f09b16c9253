import Configuration

enum PacksFolder {
  /// `[packs]` as a node would have it.
  static func configuration(
    _ context: CommandContext, _ config: String?
  ) throws(CommandFailure) -> NodeConfiguration.Packs {
    try LoadedConfiguration.load(ConfigInputs(context: context, config: config)).node.packs
  }
}
