/// Scripts that complete `kfm` in a shell, made from the table.
package enum CompletionScript {
  package enum Shell: String, CaseIterable, Sendable { case bash, zsh, fish }

  package static func script(for shell: Shell, table: CommandTable) -> String {
    switch shell {
    case .bash: bash(table)
    case .zsh: zsh(table)
    case .fish: fish(table)
    }
  }

  // MARK: bash

  private static func bash(_ table: CommandTable) -> String {
    let groups = table.groups.map { group in
      "    \(group)) words=\(quoted(table.secondWords(of: group).joined(separator: " ")));;"
    }
    let commands = table.definitions.map { definition in
      let flags = definition.allFlags.map { "--\($0.name)" }
      let kind = definition.arguments.first?.kind
      let words = quoted((flags + (kind?.candidates ?? [])).joined(separator: " "))
      let files = kind == .directory ? " files=-d" : kind == .file ? " files=-f" : ""
      return "    \(quoted(definition.name))) words=\(words)\(files);;"
    }
    let values = table.definitions.flatMap { definition in
      definition.allFlags.compactMap { flag in bashValue(flag, of: definition) }
    }
    return """
      # bash completion of kfm: eval "$(kfm completions bash)"
      _kfm() {
        local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
        local command=${COMP_WORDS[1]-} words= files=
        case $command in \(table.groups.joined(separator: "|")))
          [ "$COMP_CWORD" -le 2 ] || command+=" ${COMP_WORDS[2]}";;
        esac
        COMPREPLY=()
        if [ "$COMP_CWORD" -le 1 ]; then
          words=\(quoted(table.firstWords.joined(separator: " ")))
        else
          case "$command $previous" in
      \(values.joined(separator: "\n"))
          *) case $command in
      \((groups + commands).joined(separator: "\n"))
          esac;;
          esac
        fi
        COMPREPLY=($(compgen -W "$words" -- "$current"))
        if [ -n "$files" ]; then
          compopt -o filenames 2>/dev/null
          COMPREPLY+=($(compgen $files -- "$current"))
        fi
      }
      complete -F _kfm kfm

      """
  }

  private static func bashValue(_ flag: FlagDefinition, of definition: CommandDefinition)
    -> String?
  {
    guard let kind = flag.kind else { return nil }
    let place = quoted("\(definition.name) --\(flag.name)")
    let offer =
      switch kind {
      case .file: "files=-f"
      case .directory: "files=-d"
      default: "words=\(quoted(kind.candidates.joined(separator: " ")))"
      }
    return "      \(place)) \(offer);;"
  }

  // MARK: zsh

  private static func zsh(_ table: CommandTable) -> String {
    let commands = table.definitions.map { definition -> String in
      let skipped = definition.words.count - 1
      let flags = definition.allFlags.map { quoted(zshFlag($0)) }
      let arguments = definition.arguments.map { quoted(zshArgument($0)) }
      let shift = skipped > 0 ? "shift words; (( CURRENT-- )); " : ""
      return "    \(quoted(definition.name))) \(shift)_arguments "
        + (flags + arguments).joined(separator: " ") + ";;"
    }
    let groups = table.groups.map { group in
      "    \(group)) compadd -- \(table.secondWords(of: group).joined(separator: " "));;"
    }
    return """
      #compdef kfm
      # zsh completion of kfm: kfm completions zsh >"${fpath[1]}/_kfm"
      _kfm() {
        if (( CURRENT == 2 )); then
          compadd -- \(table.firstWords.joined(separator: " "))
          return
        fi
        shift words
        (( CURRENT-- ))
        local command=$words[1]
        case $command in \(table.groups.joined(separator: "|")))
          (( CURRENT > 2 )) && command+=" $words[2]";;
        esac
        case $command in
      \((groups + commands).joined(separator: "\n"))
        esac
      }
      if [ "$funcstack[1]" = _kfm ]; then _kfm "$@"; else compdef _kfm kfm; fi

      """
  }

  private static func zshFlag(_ flag: FlagDefinition) -> String {
    let head = "--\(flag.name)[\(zshText(flag.summary))]"
    guard let kind = flag.kind else { return head }
    return "\(head):\(flag.name):\(zshAction(kind))"
  }

  private static func zshArgument(_ argument: ArgumentDefinition) -> String {
    let colons = argument.isOptional ? "::" : ":"
    return "\(colons)\(zshText(argument.name)):\(zshAction(argument.kind))"
  }

  private static func zshAction(_ kind: ValueKind) -> String {
    switch kind {
    case .file: "_files"
    case .directory: "_files -/"
    default:
      kind.candidates.isEmpty ? " " : "(\(kind.candidates.joined(separator: " ")))"
    }
  }

  /// `[`, `]` and `:` have a meaning in a specification.
  private static func zshText(_ text: String) -> String {
    String(text.flatMap { "[]:\\".contains($0) ? ["\\", $0] : [$0] })
  }

  // MARK: fish

  private static func fish(_ table: CommandTable) -> String {
    var lines = [
      "# fish completion of kfm: kfm completions fish >~/.config/fish/completions/kfm.fish",
      "function __kfm_is",
      "  set -l words (commandline -opc)",
      "  test (count $words) -gt (count $argv); or return 1",
      "  test \"$words[2..(math (count $argv) + 1)]\" = \"$argv\"",
      "end",
      "complete -c kfm -f -n 'test (count (commandline -opc)) -eq 1' -a "
        + quoted(table.firstWords.joined(separator: " ")),
    ]
    for group in table.groups {
      let condition = "__kfm_is \(group); and test (count (commandline -opc)) -eq 2"
      let words = table.secondWords(of: group).joined(separator: " ")
      lines.append("complete -c kfm -f -n \(quoted(condition)) -a \(quoted(words))")
    }
    for definition in table.definitions {
      let condition = "-n \(quoted("__kfm_is \(definition.name)"))"
      for flag in definition.allFlags {
        lines.append("complete -c kfm \(condition) -l \(flag.name) \(fishFlag(flag))")
      }
      if let words = definition.arguments.first?.kind.candidates, !words.isEmpty {
        lines.append("complete -c kfm -f \(condition) -a \(quoted(words.joined(separator: " ")))")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func fishFlag(_ flag: FlagDefinition) -> String {
    let summary = "-d \(quoted(flag.summary))"
    switch flag.kind {
    case nil: return summary
    case .file, .directory: return "-r -F \(summary)"
    case .some(let kind):
      let words = kind.candidates
      return words.isEmpty
        ? "-x \(summary)" : "-x -a \(quoted(words.joined(separator: " "))) \(summary)"
    }
  }

  /// One word in all three shells.
  private static func quoted(_ text: String) -> String {
    "'" + text.replacing("'", with: "'\\''") + "'"
  }
}
