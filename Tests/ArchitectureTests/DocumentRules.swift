import Foundation

/// What documents owe their readers.
enum DocumentRules {
  struct ProblemCode: Decodable, Equatable {
    var status: Int?
    var retryable: Bool
  }

  /// docs/errors.md against the list of codes: each code has a section with cause, remedy, and
  /// the status and retryability that the node really sends.
  static func errorPage(_ page: SourceFile, codes: [String: ProblemCode]) -> [Finding] {
    var sections: [String: (line: Int, text: String)] = [:]
    var current: String?
    for (index, line) in page.lines.enumerated() {
      if line.hasPrefix("## ") {
        current = String(line.dropFirst(3))
        sections[current ?? "", default: (index + 1, "")].line = index + 1
      } else if line.hasPrefix("# ") {
        current = nil
      } else if let current {
        sections[current]?.text += line + "\n"
      }
    }
    let missing = codes.keys.filter { sections[$0] == nil }.sorted().map { code in
      Finding(path: page.path, line: 0, message: "the code \(code) has no section")
    }
    let wrong = sections.keys.sorted().flatMap { code -> [Finding] in
      let section = sections[code] ?? (0, "")
      return sectionFaults(of: section.text, code: codes[code]).map { fault in
        Finding(path: page.path, line: section.line, message: "\(code): \(fault)")
      }
    }
    return missing + wrong
  }

  private static func sectionFaults(of text: String, code: ProblemCode?) -> [String] {
    guard let code else { return ["is no problem code"] }
    let status = code.status.map(String.init) ?? "none, ends turns"
    let head = "Status: \(status) · retryable: \(code.retryable ? "yes" : "no")"
    var faults: [String] = []
    if !text.contains(head + "\n") { faults.append("expected the line \"\(head)\"") }
    if !text.contains("\nCause: ") { faults.append("has no cause") }
    if !text.contains("\nRemedy: ") { faults.append("has no remedy") }
    return faults
  }

  /// Links to files of the project lead somewhere.
  static func deadLinks(in page: SourceFile, exists: (String) -> Bool) -> [Finding] {
    let folder = page.path.split(separator: "/").dropLast()
    var findings: [Finding] = []
    for (index, line) in page.lines.enumerated() {
      for part in line.components(separatedBy: "](").dropFirst() {
        let target = part.prefix { $0 != ")" && $0 != "#" }
        guard !target.isEmpty, !target.contains("://") else { continue }
        var path = Array(folder)
        for step in target.split(separator: "/") where step != "." {
          if step == ".." { _ = path.popLast() } else { path.append(step) }
        }
        if exists(path.joined(separator: "/")) { continue }
        findings.append(
          Finding(path: page.path, line: index + 1, message: "the link \(target) leads nowhere"))
      }
    }
    return findings
  }
}
