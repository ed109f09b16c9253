#!/usr/bin/env python3
"""Finding an envelope's fields, and checking events whole, beside simdjson in the same run.

    make bench-envelope [ROUNDS=9]

Writes events by seed (generate.py), builds simdjson's side (Debian's libsimdjson-dev; SIMDJSON=DIR
takes simdjson.h and simdjson.cpp from there), and lets both sides take the same files in turns, each
in a process of its own: CPU time an event. Ratios are medians over the rounds, geometric means over
the files of a row, with a bootstrapped interval; a bar is met when the interval touches it.
"""
import argparse, json, math, os, random, statistics, subprocess, sys
from pathlib import Path

import generate

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SCAN_BARS = {300: 0.8, 2048: 0.5, 32768: 0.35}
VALIDATE_BAR, CELL_FACTOR = 1.5, 1.4


def build(out):
    side, source = out / "simdjson_side", HERE / "simdjson_side.cpp"
    folder = os.environ.get("SIMDJSON")
    library = ["-I", folder, str(Path(folder) / "simdjson.cpp")] if folder else ["-lsimdjson"]
    subprocess.run(["g++", "-O3", "-std=c++17", "-o", str(side), str(source), *library], check=True)
    return side


class Sides:
    """One process of simdjson's side per file, answering a line with a measurement; ours is run."""

    def __init__(self, side, kfm, folder, seconds):
        self.side, self.kfm, self.folder, self.seconds, self.running = side, kfm, folder, seconds, {}

    def simdjson(self, operation, cell):
        key = (operation, cell)
        if key not in self.running:
            self.running[key] = subprocess.Popen([str(self.side), operation, str(self.seconds), str(self.folder / f"{cell}.txt")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        process = self.running[key]
        process.stdin.write("\n"); process.stdin.flush()
        return float(process.stdout.readline().split()[0])

    def ours(self, operation, cell):
        command = [self.kfm, "bench", "envelope", "--operation", operation, "--duration", f"{max(1, int(self.seconds * 1000))}ms", "--repeat", "2", "--json", str(self.folder / f"{cell}.txt")]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode: sys.exit(f"{' '.join(command)}: {run.stderr}")
        # The first warms up.
        answer = json.loads(run.stdout.splitlines()[-1])
        if answer["taken"] != answer["events"]: sys.exit(f"{cell}: {answer['taken']} of {answer['events']} events were taken")
        return answer["cpu_ns"]

    def close(self):
        for process in self.running.values(): process.stdin.close(); process.wait()


def geometric(values): return math.exp(statistics.fmean(math.log(v) for v in values))


def row(name, rounds, bar, report):
    """`rounds`: of each file the ratios of its rounds."""
    value = geometric(statistics.median(r) for r in rounds.values())
    source = random.Random(7)
    drawn = sorted(geometric(statistics.median(source.choices(r, k=len(r))) for r in rounds.values()) for _ in range(400))
    low, high = drawn[10], drawn[389]
    worst = max(rounds, key=lambda c: statistics.median(rounds[c]))
    ok = low <= bar and statistics.median(rounds[worst]) <= bar * CELL_FACTOR
    print(f"{name:<44} {value:>7.3f}x [{low:.3f}..{high:.3f}] <= {bar:g}x {'pass' if ok else 'FAIL'}   worst file {worst} {statistics.median(rounds[worst]):.3f}x", flush=True)
    report.append({"name": name, "value": value, "low": low, "high": high, "bar": bar, "ok": ok})


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--kfm", default=str(ROOT / ".build/release/kfm")); ap.add_argument("--rounds", type=int, default=9); ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--scale", type=float, default=1.0, help="less than 1 for a quick look"); ap.add_argument("--count", type=int, default=12, help="events a file"); ap.add_argument("--json")
    args = ap.parse_args()
    out = HERE.parent / "out" / "envelope"; out.mkdir(parents=True, exist_ok=True)
    generate.write(out, args.seed, args.count)
    sides = Sides(build(out), args.kfm, out, 0.05 * args.scale)
    cells = [f"{size}-{place}" for size in generate.SIZES for place in generate.PLACES]
    times = {}
    for index in range(args.rounds):
        for cell in cells:
            for operation in ("scan", "validate"):
                pair = {}
                # Whoever comes first finds another machine than whoever comes last.
                for side in (("simdjson", "ours"), ("ours", "simdjson"))[index % 2]: pair[side] = getattr(sides, side)(operation, cell)
                times.setdefault((operation, cell), []).append((pair["ours"], pair["simdjson"]))
    sides.close()
    print(f"\n{args.rounds} rounds, {args.count} events a file, seed {args.seed} · {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    report = []
    ratios = lambda operation, chosen: {c: [a / b for a, b in times[(operation, c)]] for c in chosen}
    for size, bar in SCAN_BARS.items(): row(f"envelope scan {size} B, beside on-demand", ratios("scan", [c for c in cells if c.startswith(f"{size}-")]), bar, report)
    row("Envelope.validate, beside the DOM", ratios("validate", cells), VALIDATE_BAR, report)
    print(f"\n{'file':<14} {'scan ns':>10} {'on-demand':>10} {'validate ns':>12} {'DOM':>10}")
    middle = lambda operation, cell, side: statistics.median(pair[side] for pair in times[(operation, cell)])
    for c in cells: print(f"{c:<14} {middle('scan', c, 0):>10,.0f} {middle('scan', c, 1):>10,.0f} {middle('validate', c, 0):>12,.0f} {middle('validate', c, 1):>10,.0f}")
    if args.json: Path(args.json).write_text("".join(json.dumps(r) + "\n" for r in report))


if __name__ == "__main__": main()
