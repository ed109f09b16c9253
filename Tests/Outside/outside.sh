#!/usr/bin/env bash
# An outside package that depends on a version tag of this one, in Swift 6 mode with warnings as
# errors: it builds and runs the example of docs/vector-index.md, and its searches, one a call,
# reach 0.9 of the rate of `kfm bench vec-serve` on the same rows in the same minute.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
kfm=${KFM:-$root/.build/release/kfm}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

git clone --quiet "$root" "$work/kfm"
git -C "$work/kfm" tag 0.1.0
mkdir -p "$work/outside/Sources/Example" "$work/outside/Sources/Rate"
awk '/<!-- example/ { on = 1; next } on && /^```swift/ { copying = 1; next } copying && /^```/ { exit } copying' \
  docs/vector-index.md >"$work/outside/Sources/Example/main.swift"
cp Tests/Outside/Rate.swift "$work/outside/Sources/Rate/main.swift"
cat >"$work/outside/Package.swift" <<PACKAGE
// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]
let index: Target.Dependency = .product(name: "VectorIndex", package: "kfm")
let package = Package(
  name: "outside",
  dependencies: [.package(url: "file://$work/kfm", exact: "0.1.0")],
  targets: [
    .executableTarget(name: "Example", dependencies: [index], swiftSettings: settings),
    .executableTarget(name: "Rate", dependencies: [index], swiftSettings: settings),
  ]
)
PACKAGE
cd "$work/outside"
swift build -c release --quiet
binaries=$(swift build -c release --show-bin-path)
echo "the documentation's example:"
"$binaries/Example"

# Rows for both: written by the outside program, opened by the driver.
"$binaries/Rate" write "$work/data"
: >"$work/ours" >"$work/theirs"
for _ in 1 2 3 4 5; do
  "$binaries/Rate" measure "$work/data" >>"$work/theirs"
  printf '%s\n' "{\"op\":\"open\",\"data\":\"$work/data\"}" '{"op":"build","m":16,"efc":200}' \
    '{"op":"search","ef":64,"k":10,"mode":"single"}' \
    '{"op":"search","ef":64,"k":10,"mode":"single"}' '{"op":"quit"}' |
    "$kfm" bench vec-serve | sed -n '4s/.*"cpu_s":\([0-9.e-]*\).*/\1/p' >>"$work/ours"
done
median() { sort -g "$1" | sed -n 3p; }
awk -v ours="$(median "$work/ours")" -v theirs="$(median "$work/theirs")" 'BEGIN {
  ratio = ours / theirs
  printf "outside package: %.2f of the rate of vec-serve (must: 0.9) %s\n", ratio, (ratio >= 0.9 ? "pass" : "FAIL")
  exit (ratio < 0.9)
}'
