#!/usr/bin/env python3
"""What appending to the log, polling it, waking its readers and recovering it cost, beside the same
work in C on the same disk.

    make bench-log [ROUNDS=9]

Every round runs each side once, in turns, so that a busy machine is busy for all. Prints
`name value bar pass|FAIL`: medians over the rounds with the interval they lie in (the middle half);
a ratio is that of one round. A bar is met when the interval touches it. Python's standard library.
"""
import argparse, json, os, shutil, signal, statistics, subprocess, sys, tempfile, threading, time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FAILED = []
PARTS = ["big", "singles", "many", "poll", "wake", "recovery"]


def build(out):
    out.mkdir(parents=True, exist_ok=True)
    sources = [HERE / "append_floor.c", ROOT / "Sources/CLinux/crc32c.c"]
    subprocess.run(["cc", "-O2", "-Wall", "-Werror", f"-I{ROOT}/Sources/CLinux/include", "-o", str(out / "append_floor"), *map(str, sources), "-luring", "-lxxhash", "-lpthread"], check=True)
    subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-o", str(out / "wake_floor"), str(HERE / "wake_floor.c"), "-luring", "-lpthread"], check=True)
    subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(out / "malloc_count.so"), str(HERE / "malloc_count.c")], check=True)


def run(command, env=None):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=env)
    if done.returncode: sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def show(name, values, bar, least=True, unit="x"):
    values = sorted(values)
    middle = statistics.median(values)
    low, high = values[len(values) // 4], values[-1 - len(values) // 4]
    ok = bar is None or (high >= bar if least else low <= bar)
    if not ok: FAILED.append(name)
    print(f"{name:<58} {middle:>9.3f}{unit} [{low:.3f}, {high:.3f}]", "-" if bar is None else f"{'>=' if least else '<='} {bar}", "-" if bar is None else "pass" if ok else "FAIL", flush=True)


class Bench:
    def __init__(self, args, out, work):
        self.args, self.out, self.work = args, out, work

    def count(self, n): return max(2, int(n * self.args.scale)) if n else 0

    def floor(self, mode, batches, messages, inflight, size=1024):
        return run([self.out / "append_floor", mode, self.work, self.count(batches), messages, size, inflight])

    def kfm(self, name, batches, messages, inflight=1, producers=1, partitions=1, size=1024, more=()):
        return run([self.args.kfm, "bench", "append", "--dir", self.work / name, "--batches", self.count(batches), "--batch-bytes", messages * size, "--message-bytes", size, "--producers", producers, "--partitions", partitions, "--inflight", inflight, "--json", *more])

    def big(self):
        """Both sides write to files whose blocks have been written before: the floor to one file all the
        time, the log to segments that its retention has let go of. What a new directory takes stands
        beside it."""
        keep = ["--segment-bytes", 64 << 20, "--retention-bytes", 256 << 20]
        for inflight in (1, 8):
            rows = []
            self.kfm(f"big-{inflight}", 1_000, 1000, inflight, more=keep)
            for _ in range(self.args.rounds):
                shutil.rmtree(self.work / "new", ignore_errors=True)
                rows.append((self.kfm(f"big-{inflight}", 500, 1000, inflight, more=keep), self.floor("best", 500, 1000, inflight), self.floor("grow", 150, 1000, inflight), self.kfm("new", 500, 1000, inflight)))
            label = f"append 1,000 x 1 KiB, {inflight} in flight"
            show(f"{label}: MB/s", [k["mb_per_s"] for k, _, _, _ in rows], None, unit="")
            show(f"{label}: MB/s of the best in C", [b["mb_per_s"] for _, b, _, _ in rows], None, unit="")
            show(f"{label}: rate over the best in C", [k["mb_per_s"] / b["mb_per_s"] for k, b, _, _ in rows], 0.85)
            show(f"{label}: CPU per MB over the best in C", [k["cpu_s_per_gb"] / b["cpu_s_per_gb"] for k, b, _, _ in rows], 1.1, least=False)
            show(f"{label}: rate over a growing file", [k["mb_per_s"] / g["mb_per_s"] for k, _, g, _ in rows], 2 if inflight == 8 else None)
            # What the disk leaves to be won at all.
            show(f"{label}: the best in C over a growing file", [b["mb_per_s"] / g["mb_per_s"] for _, b, g, _ in rows], None)
            show(f"{label}: new directory: rate over the best in C", [n["mb_per_s"] / b["mb_per_s"] for _, b, _, n in rows], None)
            show(f"{label}: new directory: over a growing file", [n["mb_per_s"] / g["mb_per_s"] for _, _, g, n in rows], None)
            show(f"{label}: new directory: CPU per MB over the best", [n["cpu_s_per_gb"] / b["cpu_s_per_gb"] for _, b, _, n in rows], None)

    def poll(self):
        batches = self.count(256)
        def poll(rounds, env=None):
            return run([self.args.kfm, "bench", "poll", "--dir", self.work / "poll", "--batches", batches, "--rounds", rounds, "--json"], env)
        rows = [poll(max(1, self.args.rounds // 2)) for _ in range(3)]
        show("poll, every byte summed: over summing memory", [r["sum_over_memory"] for r in rows], 0.8)
        show("poll, messages gone through: GB per CPU second", [r["poll_gb_per_cpu_s"] for r in rows], 5, unit="")
        counts = []
        for rounds in (2, 12):
            path = self.work / "mallocs"
            poll(rounds, dict(os.environ, LD_PRELOAD=str(self.out / "malloc_count.so"), MALLOC_COUNT=str(path)))
            counts.append(int(path.read_text()))
        # A poll of a thousand messages allocates a few times, its messages never.
        show("poll: allocations per message", [(counts[1] - counts[0]) / (10 * 2 * rows[0]["messages"])], 0.05, least=False, unit="")

    def wake(self):
        """Short runs in turns: what else the machine does comes and goes."""
        rows = []
        def floor(*what): return run([self.out / "wake_floor", *what, self.count(1_000)])["p50_us"]
        for _ in range(3 * self.args.rounds):
            ours = run([self.args.kfm, "bench", "wake", "--dir", self.work / "wake", "--rounds", self.count(1_000), "--json"])
            rows.append((ours, floor("ping"), floor("write", self.work / "block"), floor("sync", self.work / "block")))
        show("wake-up, same loop, replicated: p50", [k["replicated_same_loop_p50_us"] for k, *_ in rows], 3, least=False, unit=" us")
        show("wake-up, same loop, replicated: over a ring's write in C", [k["replicated_same_loop_p50_us"] - w for k, _, w, _ in rows], None, unit=" us")
        show("wake-up, other loop, replicated: over an eventfd ping in C", [k["replicated_other_loop_p50_us"] / p for k, p, *_ in rows], 1.3, least=False)
        show("wake-up, persisted: over a linked write and fdatasync in C", [k["persisted_same_loop_p50_us"] - s for k, *_, s in rows], 25, least=False, unit=" us")

    def recovery(self):
        """1 GiB: opened after a kill, and gone through whole, as where there is no index."""
        batches = 1_050
        label = "1 GiB" if self.args.scale >= 1 else "a part of 1 GiB"
        opened, scanned = [], []
        for index in range(max(1, self.args.rounds // 3)):
            directory = self.work / "recovery"
            shutil.rmtree(directory, ignore_errors=True)
            self.kfm("recovery", batches, 1000, 8)
            killed = subprocess.Popen(list(map(str, [self.args.kfm, "bench", "append", "--dir", directory, "--batches", 1_000_000, "--batch-bytes", 1_024_000, "--inflight", 8, "--acks", self.work / "acks"])), stdout=subprocess.DEVNULL)
            while killed.poll() is None and (not (self.work / "acks").exists() or (self.work / "acks").stat().st_size < 4_000): time.sleep(0.01)
            killed.send_signal(signal.SIGKILL); killed.wait()
            (self.work / "acks").unlink()
            began = time.time(); self.kfm("recovery", 0, 1000); opened.append(time.time() - began)
            run([self.args.kfm, "log", "verify", "--data-dir", directory, "--json"])
            began = time.time(); run([self.args.kfm, "log", "verify", "--data-dir", directory, "--json"])
            scanned.append(sum(f.stat().st_size for f in (directory / "log/bench").rglob("*.log")) / 1e9 / (time.time() - began))
        show(f"recovery of {label} after a kill: open", opened, 1, least=False, unit=" s")
        show("recovery without an index: every byte checked, GB/s", scanned, 1, unit="")

    def singles(self):
        rows = []
        for _ in range(self.args.rounds):
            rows.append((self.kfm("one", 20_000, 1, producers=64), self.kfm("sixteen", 20_000, 1, producers=64, partitions=16), self.floor("grow", 400, 1, 1)))
        show("single messages, 64 producers: messages/s", [a["batches_per_s"] for a, _, _ in rows], None, unit="")
        show("single messages, 64 producers: over a growing file's", [a["batches_per_s"] / g["batches_per_s"] for a, _, g in rows], 5)
        show("single messages on 16 partitions: over those on one", [s["batches_per_s"] / a["batches_per_s"] for a, s, _ in rows], 0.8)
        show("single messages: acknowledgements per sync", [a["batches"] / max(1, a["fdatasyncs"]) for a, _, _ in rows], None, unit="")

    def many(self):
        """So many messages that all partitions' files are made and written to several times: what is a
        checkpoint's comes with it."""
        rows, peak = [], 0
        for index in range(max(1, self.args.rounds // 3)):
            few = self.kfm("few", 300_000, 1, producers=64, partitions=16, size=200)
            watch = Descriptors()
            many = self.kfm("many", 600_000, 1, producers=64, partitions=10_000, size=200)
            peak = max(peak, watch.stop())
            rows.append((many, few, self.floor("best", 5_000, 64, 1, 200)))
        show("10,000 partitions, 200 B: rate over 16 partitions", [m["batches_per_s"] / f["batches_per_s"] for m, f, _ in rows], 0.5)
        def tail(run): return run["ack_p999_us"] / run["ack_p50_us"]
        show("10,000 partitions: p99.9 over p50", [tail(m) for m, _, _ in rows], 10, least=False)
        # What the disk gives anybody.
        show("16 partitions: p99.9 over p50", [tail(f) for _, f, _ in rows], None)
        show("the best in C, batches of 64: p99.9 over p50", [tail(c) for _, _, c in rows], None)
        show("10,000 partitions: descriptors", [peak], 1024, least=False, unit="")
        began = time.time(); self.kfm("many", 0, 1, partitions=10_000, size=200)
        show("10,000 partitions: open and close", [time.time() - began], 5, least=False, unit=" s")
        # What there is before anything is appended; made and filled journals are the same for both.
        one, all = (self.kfm(f"empty-{n}", 0, 1, partitions=n) for n in (1, 10_000))
        show("10,000 partitions: RAM per empty one", [(all["rss_bytes"] - one["rss_bytes"]) / 10_000], 16 << 10, least=False, unit=" B")
        show("10,000 partitions: disk per empty one", [(disk_bytes(self.work / "empty-10000") - disk_bytes(self.work / "empty-1")) / 10_000], 64 << 10, least=False, unit=" B")
        before = disk_bytes(self.work / "few")
        done = self.kfm("few", 20_000, 1, producers=64, partitions=16, size=100)
        show("disk bytes per single 100 B message", [(disk_bytes(self.work / "few") - before) / done["batches"]], None, unit="")


class Descriptors:
    """The most descriptors any `kfm` child has."""
    def __init__(self):
        self.most, self.over = 0, False
        self.thread = threading.Thread(target=self.look, daemon=True); self.thread.start()

    def look(self):
        while not self.over:
            for pid in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
                try: self.most = max(self.most, len(os.listdir(f"/proc/{pid}/fd")))
                except OSError: pass
            time.sleep(0.02)

    def stop(self):
        self.over = True; self.thread.join(); return self.most


def disk_bytes(directory):
    return sum(f.stat().st_blocks * 512 for f in Path(directory).rglob("*") if f.is_file())


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--kfm", default=str(ROOT / ".build/release/kfm")); ap.add_argument("--rounds", type=int, default=9)
    ap.add_argument("--scale", type=float, default=1.0, help="less than 1 for a quick look"); ap.add_argument("--dir", help="on the disk to measure")
    ap.add_argument("--only", choices=PARTS)
    args = ap.parse_args()
    out = HERE.parent / "out"; build(out)
    work = Path(tempfile.mkdtemp(prefix="kfm-bench-log-", dir=args.dir))
    try:
        bench = Bench(args, out, work)
        for part in PARTS:
            if args.only in (None, part): getattr(bench, part)()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if FAILED and args.scale >= 1: sys.exit(f"not met: {', '.join(FAILED)}")


main()
