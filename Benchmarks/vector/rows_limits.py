"""Rows of machines with less: instructions up to AVX2 on both sides, and memory for half the file."""
import json, os, statistics, subprocess, sys
from pathlib import Path
import numpy as np
from driver import DriverError, Kfm
from measure import Race, TARGETS

OUT = Path(__file__).resolve().parent.parent / "out"

HASWELL_CHILD = """
import json, sys, time, numpy as np
sys.path.insert(0, sys.argv[1])
import hnswlib
assert hnswlib.__file__.startswith(sys.argv[1]), hnswlib.__file__
space, base, queries = sys.argv[2], np.load(sys.argv[3], mmap_mode="r"), np.load(sys.argv[4])
index = hnswlib.Index(space, base.shape[1])
index.init_index(max_elements=len(base), M=16, ef_construction=200, random_seed=1)
index.add_items(base, np.arange(len(base)), num_threads=1)
print("ready", flush=True)
for line in sys.stdin:
    ef, k, out = json.loads(line)
    index.set_ef(ef); began = time.process_time()
    ids = index.knn_query(queries, k=k, num_threads=1)[0]
    used = time.process_time() - began
    np.save(out, ids.astype(np.int64)); print(used, flush=True)
"""


class HaswellHnswlib:
    """hnswlib compiled for processors that have AVX2 and FMA and nothing wider: a module of the same
    name as the other, so in a process of its own, whose CPU time it counts itself."""
    name = "hnswlib"

    def __init__(self, data, work):
        target, self.out = OUT / "hnswlib-haswell", work / "haswell-ids.npy"
        if not (target / "stamp").exists():
            env = dict(os.environ, HNSWLIB_NO_NATIVE="1", CXXFLAGS="-march=haswell -O3", CFLAGS="-march=haswell -O3")
            subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-build-isolation", "--no-deps", "--no-cache-dir", "--no-binary", "hnswlib", "--target", str(target), "hnswlib==0.8.0"], check=True, env=env)
            (target / "stamp").write_text("haswell")
        np.save(work / "haswell-base.npy", data.base); np.save(work / "haswell-queries.npy", data.queries)
        space = "l2" if data.metric == "l2" else "ip"
        self.process = subprocess.Popen([sys.executable, "-c", HASWELL_CHILD, str(target), space, work / "haswell-base.npy", work / "haswell-queries.npy"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "ready": raise RuntimeError("hnswlib for haswell did not start")

    def timed(self, ef, k=10):
        print(json.dumps([max(ef, k), k, str(self.out)]), file=self.process.stdin, flush=True)
        used = float(self.process.stdout.readline())
        return np.load(self.out), used, None

    def close(self): self.process.stdin.close(); self.process.wait()


def avx2(bench, data):
    """Both sides without AVX-512."""
    table = bench.table; table.head("instructions up to AVX2 on both sides")
    kfm = Kfm(bench.kfm, bench.work, ("--simd", "avx2")); kfm.open(data); kfm.build()
    peer = HaswellHnswlib(data, bench.work)
    race = Race(data, seconds=bench.seconds); race.enter(kfm); race.enter(peer); race.run(bench.rounds)
    for target in TARGETS:
        rates = [np.exp(statistics.median([rate for rate in race.rate(name, target) if rate])) for name in ("kfm", "hnswlib")]
        table.row(f"{kfm.call(op='simd')['simd']}: speed/hnswlib@{target:.2f}", race.ratios("kfm", "hnswlib", target), 2, unit="x", detail=f"{rates[0]:,.0f} against {rates[1]:,.0f}")
    kfm.close(); peer.close()


class MemoryGroup:
    """A control group of this process's own with a limit on memory, the page cache included."""

    def __init__(self, limit):
        self.path = None
        for line in open("/proc/self/cgroup"):
            _, controllers, name = line.strip().split(":", 2)
            if controllers == "memory": root, knob = Path("/sys/fs/cgroup/memory") / name.lstrip("/"), "memory.limit_in_bytes"
            elif not controllers: root, knob = Path("/sys/fs/cgroup") / name.lstrip("/"), "memory.max"
            else: continue
            path = root / f"kfm-bench-{os.getpid()}"
            try:
                path.mkdir()
                (path / knob).write_text(str(limit))
                self.path = path
                return
            except OSError:
                if path.exists(): path.rmdir()

    def enter(self): (self.path / "cgroup.procs").write_text(str(os.getpid()))
    def remove(self): self.path.rmdir()


def drop_from_cache(path):
    """Pages that are in memory already are charged to nobody new."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor); os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def memory_limit(bench, data, kfm):
    """A process in a control group whose limit is half the index's file maps it and answers."""
    table = bench.table; table.head("a memory limit of half the file (control group, page cache included)")
    path = bench.work / "limited.vidx"
    size = kfm.call(op="save", path=str(path))["bytes"]
    group = MemoryGroup(size // 2)
    if group.path is None: return table.note("no control group of memory can be made here: not measured")
    asked = min(100, len(data.queries))
    # A mapped index goes by the codes in the file, and not by shorter ones that a loaded one makes.
    free = Kfm(bench.kfm, bench.work); free.open(data); free.call(op="load", path=str(path), mmap=True)
    expected = free.search(64, nq=asked)[0]; free.close()
    limited = Kfm(bench.kfm, bench.work, inside=group.enter)
    try:
        limited.open(data)
        drop_from_cache(path)
        limited.call(op="load", path=str(path), mmap=True)
        ids, answer = limited.search(64, nq=asked)
        again = limited.search(64, nq=asked)[1]
        same = float((ids == expected).all(axis=1).mean())
        table.row("limit of half the file, mapped: queries answered alike", same, 1, detail=f"file {size / 1e6:.1f} MB; {answer['wall_s'] / asked * 1e3:.1f} ms a query at first, then {again['wall_s'] / asked * 1e3:.1f} ms; {again['cpu_s'] / asked * 1e3:.1f} ms of CPU")
    except DriverError as error:
        table.row("limit of half the file, mapped: queries answered alike", [], 1, detail=str(error))
    limited.close(); group.remove()
