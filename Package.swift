// swift-tools-version: 6.2
// One package, no dependency: the Swift toolchain, C libraries from Debian, nothing to resolve.
import PackageDescription

let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("ExistentialAny"),
]

/// A Swift module under `Sources/`; `uses` names only modules below it (ARCHITECTURE.md, "Modules").
func module(_ name: String, uses: [String] = [], exclude: [String] = []) -> Target {
  .target(
    name: name, dependencies: uses.map { .byName(name: $0) }, exclude: exclude,
    swiftSettings: strict)
}

func tests(_ name: String, uses: [String]) -> Target {
  .testTarget(
    name: name, dependencies: (uses + ["TestSupport"]).map { .byName(name: $0) },
    swiftSettings: strict)
}

let package = Package(
  name: "kfm",
  products: [
    .executable(name: "kfm", targets: ["kfm"]),
    .library(name: "Iggy", targets: ["Iggy"]),
    .library(name: "VectorIndex", targets: ["VectorIndex"]),
  ],
  targets: [
    // L0: what Swift cannot express, and the doors to C libraries.
    .target(name: "CLinux"),
    .target(name: "CURing", linkerSettings: [.linkedLibrary("uring")]),
    .target(name: "CCurl"),
    .target(
      name: "COpenSSL", linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]),
    .target(name: "CToml", linkerSettings: [.linkedLibrary("stdc++")]),
    .target(name: "CVector"),
    .target(name: "CJSON"),
    .systemLibrary(name: "CYAML"),
    .systemLibrary(name: "CXXHash"),
    .systemLibrary(name: "CZstd"),
    // L1
    module("Base", uses: ["CLinux", "COpenSSL", "CXXHash", "CJSON"]),
    // L2
    module("Events", uses: ["Base", "CJSON"], exclude: ["Schemas"]),
    module("Observability", uses: ["Base"]),
    module("VectorIndex", uses: ["CVector"]),
    module("UringIO", uses: ["Base", "CURing", "CLinux", "COpenSSL"]),
    module("HTTP", uses: ["Base", "UringIO", "CCurl"]),
    // L3
    module("Iggy", uses: ["Base", "CXXHash"]),
    module(
      "LogBroker", uses: ["Base", "Events", "UringIO", "Iggy", "CLinux", "COpenSSL", "CZstd"]),
    module("AgentEngine", uses: ["Base", "Events", "Observability"]),
    module("Providers", uses: ["Base", "Events", "HTTP", "UringIO", "CLinux"]),
    module("PersonalityPacks", uses: ["Base", "Events", "CYAML"]),
    module("Sandbox", uses: ["Base", "Events", "UringIO", "CLinux"]),
    module("MemoryService", uses: ["Base", "Events", "VectorIndex", "CLinux"]),
    module("Configuration", uses: ["Base", "Events", "CToml"]),
    // L4
    module("Gateway", uses: ["Base", "Events", "Observability", "UringIO", "HTTP"]),
    // L5
    module(
      "Commands",
      uses: [
        "Base", "Events", "Observability", "UringIO", "HTTP", "Iggy", "LogBroker", "VectorIndex",
        "AgentEngine", "Providers", "PersonalityPacks", "Sandbox", "MemoryService",
        "Configuration", "Gateway", "CLinux", "CURing", "CCurl", "COpenSSL",
      ]),
    // L6: a few lines over Commands. The Swift runtime is linked statically here and nowhere
    // else, so that tests and libraries keep one build.
    .executableTarget(
      name: "kfm", dependencies: ["Commands"], swiftSettings: strict,
      linkerSettings: [
        .unsafeFlags(["-static-stdlib"], .when(platforms: [.linux], configuration: .release))
      ]),
    // Tests
    .target(
      name: "TestSupport", dependencies: ["Base", "UringIO"], path: "Tests/TestSupport",
      swiftSettings: strict),
    tests("BaseTests", uses: ["Base", "CJSON"]),
    tests("EventsTests", uses: ["Base", "Events", "CJSON"]),
    tests("ObservabilityTests", uses: ["Base", "Observability"]),
    tests("VectorIndexTests", uses: ["Base", "VectorIndex", "CVector"]),
    tests("UringIOTests", uses: ["Base", "UringIO", "CURing", "CLinux"]),
    tests("HTTPTests", uses: ["Base", "UringIO", "HTTP"]),
    tests("IggyTests", uses: ["Base", "Iggy"]),
    tests("LogBrokerTests", uses: ["Base", "Events", "UringIO", "Iggy", "LogBroker", "CLinux"]),
    tests("AgentEngineTests", uses: ["Base", "Events", "Observability", "AgentEngine"]),
    tests("ProvidersTests", uses: ["Base", "Events", "UringIO", "HTTP", "Providers"]),
    tests("PersonalityPacksTests", uses: ["Base", "Events", "PersonalityPacks"]),
    tests("SandboxTests", uses: ["Base", "Events", "UringIO", "Sandbox"]),
    tests("MemoryServiceTests", uses: ["Base", "Events", "VectorIndex", "MemoryService"]),
    tests("ConfigurationTests", uses: ["Base", "Events", "Configuration"]),
    tests("GatewayTests", uses: ["Base", "Events", "Observability", "UringIO", "HTTP", "Gateway"]),
    tests("CommandsTests", uses: ["Base", "Events", "UringIO", "HTTP", "Commands"]),
    // The real program from the outside; it finds the binary beside the test runner.
    tests("NodeTests", uses: ["Base"]),
    // The house rules: module order, file and function length, banned calls.
    tests("ArchitectureTests", uses: ["Base"]),
  ],
  cLanguageStandard: .gnu11,
  cxxLanguageStandard: .cxx17
)
