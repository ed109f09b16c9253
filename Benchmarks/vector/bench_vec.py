#!/usr/bin/env python3
"""The vector index beside the fastest open ones, in one run.

    make bench-vec                     the developer's set when KFM_TEST_DATA names one, else a seeded one
    Benchmarks/bench-vec.sh --rounds 5 --only speed,filters

Single thread, one query a call unless a row says batch; queries per CPU second of the whole process,
interpolated at equal recall@10; medians over alternating rounds with the lowest and highest. Every
row: name, value, must, aim, pass or FAIL. Exit code 1 when a row fails (not with --scale below 1).
"""
import argparse, json, os, shutil, subprocess, sys, tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import datasets, peers, rows_limits, rows_other, rows_speed
from driver import Kfm
from measure import Table

GROUPS = ("speed", "memory", "k", "data", "filters", "batch", "threads", "files", "beside", "adds", "churn", "growth", "avx2", "probe", "limit")


class Bench:
    def __init__(self, args, work):
        self.kfm, self.rounds, self.work, self.scale = args.kfm, args.rounds, work, args.scale
        self.has_peers, self.is_tiny = not args.no_peers, args.scale < 1
        self.seconds = 0.1 if args.scale >= 1 else 0.0001
        self.table, self.hnswlib, self.scan = Table(judges=not self.is_tiny), None, None

    def count(self, full): return max(40, int(full * self.scale))

    def part(self, data, queries, name):
        """The same rows with other queries, for the driver."""
        directory = self.work / name
        if not (directory / "meta.json").exists():
            directory.mkdir(parents=True, exist_ok=True)
            base = self.work / "part-base.bin"
            if not base.exists(): data.base.tofile(base)
            meta = {"name": name, "dims": data.d, "count": len(data.base), "queries": len(queries), "metric": data.metric, "dtype": "float32", "endian": "little", "base": str(base), "query": "queries.bin"}
            (directory / "meta.json").write_text(json.dumps(meta))
        queries.tofile(directory / "queries.bin")
        part = lambda: None
        part.directory = directory
        return part

    def compile(self, name):
        """A shared library of one C file beside this one."""
        library = self.work / f"{name}.so"
        subprocess.run(["cc", "-O3", "-march=native", "-shared", "-fPIC", "-Wall", "-o", str(library), str(HERE / f"{name}.c"), "-lm", "-lpthread"], check=True)
        return library

    def compile_scan(self, data): self.scan = peers.Int8Scan(self.compile("scan_int8"), data)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kfm", default=str(HERE.parent.parent / ".build/release/kfm"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="less than 1: a look at tiny inputs")
    parser.add_argument("--no-peers", action="store_true", help="without the other libraries")
    parser.add_argument("--only", default=",".join(GROUPS), help="groups of rows: " + ",".join(GROUPS))
    parser.add_argument("--json", help="write the rows to this file")
    args = parser.parse_args()
    groups = args.only.split(",")
    work = Path(tempfile.mkdtemp(prefix="kfm-bench-vec-"))
    try:
        bench = Bench(args, work)
        run(bench, groups)
        if args.json: Path(args.json).write_text(json.dumps(bench.table.rows, indent=1))
        print(f"\n{bench.table.failed} of {sum(row['must'] is not None for row in bench.table.rows)} rows below their bar")
        sys.exit(1 if bench.table.failed and not bench.is_tiny else 0)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def run(bench, groups):
    directory = os.environ.get("KFM_TEST_DATA")
    if directory and not bench.is_tiny: data = datasets.developer(directory)
    else: data = datasets.clustered(bench.work, bench.count(50_000), 384 if not bench.is_tiny else 48, bench.count(1000))
    bench.compile_scan(data)
    kfm = Kfm(bench.kfm, bench.work)
    kfm.open(data); build = kfm.build()
    print(f"set: {data.label}\nkfm: {kfm.call(op='simd')['simd']}, built in {build['cpu_s']:.2f} CPU s; load average {os.getloadavg()[0]:.1f}")
    print(f"{'name':<52} {'value':>14} {'must':>9} {'aim':>9}")
    if bench.has_peers: bench.hnswlib = peers.Hnswlib(data).build()
    race = None
    if "speed" in groups or "memory" in groups: race = rows_speed.speed(bench, data, kfm)
    if "memory" in groups and bench.has_peers: rows_speed.latency_build_memory(bench, data, kfm, build, race)
    if "k" in groups: rows_other.other_k(bench, data, kfm)
    if "filters" in groups: rows_other.filters(bench, data, kfm)
    if "batch" in groups: rows_other.batches(bench, data, kfm)
    if "files" in groups: rows_other.files(bench, data, kfm)
    if "probe" in groups: rows_other.probe(bench, data, kfm)
    if "limit" in groups: rows_limits.memory_limit(bench, data, kfm)
    if "threads" in groups: rows_other.threads(bench, data, kfm)
    kfm.close()
    if "avx2" in groups and bench.has_peers: rows_limits.avx2(bench, data)
    if "data" in groups: rows_other.other_data(bench)
    if "beside" in groups: rows_other.beside(bench, data)
    if "growth" in groups: rows_other.growth(bench)
    if "adds" in groups: rows_speed.adds(bench, data)
    if "churn" in groups:
        rows_speed.churn(bench, data, False); rows_speed.churn(bench, data, True)


if __name__ == "__main__": main()
