"""Rows against other libraries: rates at equal recall, latency, build, memory, adds, churn."""
import os, statistics, subprocess, sys, time
from pathlib import Path
import numpy as np
from datasets import Set, exact
from driver import Kfm
from measure import EFS, PROBES, Race, TARGETS, crossing
import peers

BARS = {  # name of the peer: (must, aim) at the three targets
    "hnswlib": ((2.5, 3.0, 3.3), (3.5, 4.5, 4.5)),
    "svs-f16": ((0.9, 1.2, 1.3), (1.5, 1.5, 1.5)),
    "faiss-ivfpqfs": ((1.1, 1.2, 1.2), (1.7, 1.7, 1.7)),
    "symphonyqg": ((0.6, 0.75, 0.85), (1.05, 1.05, 1.05)),
}


def speed(bench, data, kfm):
    """Queries per CPU second at recall 0.90, 0.95 and 0.99, beside everybody."""
    table, race = bench.table, Race(data, seconds=bench.seconds)
    race.enter(kfm)
    if bench.has_peers:
        race.enter(bench.hnswlib)
        race.enter(peers.SVS(data).build()); race.enter(peers.FaissIVF(data).build(), PROBES)
        race.enter(peers.SymphonyQG(data, 0).build()); race.enter(peers.SymphonyQG(data, 8).build())
    race.run(bench.rounds)
    table.head(f"speed on {data.label}: queries per CPU second at equal recall@10, one query a call")
    for name in race.rounds[0]:
        rates = [race.rate(name, target) for target in TARGETS]
        text = "  ".join("not reached" if None in rate else f"{np.exp(statistics.median(rate)):,.0f}" for rate in rates)
        table.note(f"{name}: {text}   (recall at ef: " + " ".join(f"{p[3]}:{p[0]:.4f}" for p in race.rounds[0][name] if p[3] in (10, 32, 64, 128)) + ")")
    if not bench.has_peers: return race
    for name, (must, aim) in BARS.items():
        for at, target in enumerate(TARGETS):
            if name == "symphonyqg":
                both = [race.ratios("kfm", rival, target) for rival in ("symqg", "symqg-8")]
                both = [ratios for ratios in both if ratios]
                ratios = min(both, key=statistics.median) if both else []
            else:
                ratios = race.ratios("kfm", name, target)
            table.row(f"speed/{name}@{target:.2f}", ratios, must[at], aim[at], unit="x")
    return race


def latency_build_memory(bench, data, kfm, build, race):
    table, hnsw = bench.table, bench.hnswlib
    table.head("latency, build and memory, beside hnswlib")
    ours = race.p50("kfm", 0.95)
    curve = [(race.at("hnswlib", ef)[0], hnsw.p50(ef)) for ef in EFS if ef >= 10 and race.at("hnswlib", ef)]
    theirs = crossing(curve, 0.95, lambda point: point[1])
    if theirs: table.row("p50 of one query at 0.95", [value / theirs for value in ours if value], 0.4, 0.3, True, "x", f"hnswlib {theirs:.0f} us")
    table.row("build CPU", build["cpu_s"] / hnsw.build_cpu, 0.6, 0.35, True, "x", f"{build['cpu_s']:.2f} s of {hnsw.build_cpu:.2f} s")
    shared = [ef for ef in EFS if race.at("kfm", ef) and race.at("hnswlib", ef)]
    table.row("recall at equal ef, worst difference", min(race.at("kfm", ef)[0] - race.at("hnswlib", ef)[0] for ef in shared), -0.003, 0, detail=f"ef {shared[0]}…{shared[-1]}")
    ram(bench, data, kfm)


def resident(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


HNSW_CHILD = """
import sys, os, hnswlib, numpy
def resident(): return int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGESIZE')
index = hnswlib.Index(sys.argv[2], int(sys.argv[3])); before = resident()
index.load_index(sys.argv[1]); index.knn_query(numpy.ones((1, int(sys.argv[3])), 'float32'), k=10)
print(resident() - before)
"""


def ram(bench, data, kfm):
    """Memory of fresh processes that loaded a file and answered once."""
    count, theirs = len(data.base), bench.work / "ram.hnsw"
    bench.hnswlib.index.save_index(str(theirs))
    space = "l2" if data.metric == "l2" else "ip"
    peer = int(subprocess.run([sys.executable, "-c", HNSW_CHILD, theirs, space, str(data.d)], capture_output=True, text=True, check=True).stdout)
    compact = Kfm(bench.kfm, bench.work); compact.open(data); compact.build(storage="compact")
    for name, index, must, least in (("default", kfm, 0.75, 0.985), ("compact", compact, 0.32, 0.97)):
        ours = bench.work / f"ram-{name}.vidx"
        index.call(op="save", path=str(ours))
        fresh = Kfm(bench.kfm, bench.work); fresh.open(data)
        before = resident(fresh.pid)
        fresh.call(op="load", path=str(ours), mmap=False); fresh.search(64, nq=1)
        mine = resident(fresh.pid) - before
        bench.table.row(f"RAM a vector, {name}", mine / peer, must, None, True, "x", f"{mine / count:.0f} B of {peer / count:.0f} B")
        bench.table.row(f"recall ceiling, {name}", data.recall(fresh.search(1024)[0], 10), least, detail=f"ef 64: {data.recall(fresh.search(64)[0], 10):.4f}")
        fresh.close()
    compact.close()


def adds(bench, data):
    """2,000 rows into an index of the others, one by one; then the speed rows again after as many deletes."""
    table, n = bench.table, len(data.base)
    extra = min(2000, n // 10); start = n - extra
    ours, theirs = [], []
    kfm = Kfm(bench.kfm, bench.work); kfm.open(data); kfm.build()
    before = Race(data, seconds=bench.seconds); before.enter(kfm); before.run(bench.rounds)
    for _ in range(bench.rounds):
        kfm.build(n=start)
        ours.append(extra / kfm.call(op="add", **{"from": start, "to": n}, threads=1)["cpu_s"])
    if bench.has_peers:
        peer = peers.Hnswlib(data).build(start)
        began = time.process_time()
        peer.index.add_items(data.base[start:], np.arange(start, n), num_threads=1)
        theirs.append(extra / (time.process_time() - began))
    table.head("adding and churn")
    if theirs: table.row("adds per CPU second", [rate / theirs[0] for rate in ours], 1.6, 2.5, unit="x", detail=f"{statistics.median(ours):,.0f} against {theirs[0]:,.0f}")
    else: table.row("adds per CPU second", ours, None)
    gone = np.random.default_rng(3).choice(n, extra, replace=False)
    kfm.delete(gone)
    kept = np.setdiff1d(np.arange(n), gone)
    truth, after = data.truth, Race(data, seconds=bench.seconds)
    data.truth = exact(data.base, data.queries, data.metric, 100, kept)
    after.enter(kfm); after.run(bench.rounds)
    data.truth = truth
    for target in TARGETS:
        pairs = zip(after.rate("kfm", target), before.rate("kfm", target))
        table.row(f"speed after {extra} adds and deletes@{target:.2f}", [float(np.exp(a - b)) for a, b in pairs if a and b], 0.95, 1, unit="x")
    kfm.close()


def churn(bench, data, whole_clusters):
    """Five times: a fifth deleted, other vectors under the old ids."""
    table, n, rng = bench.table, len(data.base), np.random.default_rng(5)
    half = n // 2  # rows half… are the other vectors
    now = np.arange(half)  # which row of the set lies under id i
    other = list(range(half, n)); kfm = Kfm(bench.kfm, bench.work)
    world = view(data, now, bench.work / "churn")
    kfm.open(world); fresh_cpu = kfm.build()["cpu_s"]; cpu = changed = 0
    order = np.argsort(data.base[:half] @ data.queries[0]) if whole_clusters else rng.permutation(half)
    for turn in range(5):
        size = half // 5
        gone = order[turn * size:(turn + 1) * size] if whole_clusters else rng.choice(half, size, replace=False)
        cpu += kfm.delete(gone)["cpu_s"]
        fresh = [other.pop() for _ in gone]; other = now[gone].tolist() + other
        now[gone] = fresh
        world = view(data, now, bench.work / "churn"); kfm.open(world)
        cpu += kfm.add(gone)["cpu_s"]; changed += len(gone)
    built = Kfm(bench.kfm, bench.work); built.name = "fresh"; built.open(world)
    fresh_cpu = (fresh_cpu + built.build()["cpu_s"]) / 2
    few, asked = recall_apart(world, kfm, built), asked_more(bench, data, now)
    many = recall_apart(asked, kfm, built)
    race = Race(asked, seconds=bench.seconds); race.enter(kfm); race.enter(built); race.run(bench.rounds)
    kind = "whole clusters" if whole_clusters else "scattered"
    for target in (0.90, 0.95, 0.99):
        table.row(f"5 x 20 % replaced, {kind}: rate@{target:.2f} to fresh", race.ratios("kfm", "fresh", target), 0.9, 0.97, unit="x")
    table.row(f"5 x 20 % replaced, {kind}: worst recall difference", many[0], -0.005, -0.002, detail=f"{many[1]}; {few[1]}")
    table.row(f"5 x 20 % replaced, {kind}: CPU to a build of as many", cpu / (fresh_cpu * changed / half), 1.2, 0.8, True, "x")
    kfm.close(); built.close()


def asked_more(bench, data, now):
    """The rows that are there, and beside the queries four times as many of the rows that are
    not: by 1,000 queries alone a difference of recall is as uncertain as its bar is large."""
    absent = np.setdiff1d(np.arange(len(data.base)), now)
    more = np.random.default_rng(6).choice(absent, min(len(absent), 4 * len(data.queries)), replace=False)
    return view(data, now, bench.work / "churn-asked", np.concatenate([data.queries, data.base[more]]))


def recall_apart(data, kfm, built):
    """The worst difference of recall at any ef from a fresh build, and what it is."""
    kfm.open(data); built.open(data); apart = {}
    for ef in (ef for ef in EFS if ef <= 256):
        apart[ef] = data.recall(kfm.search(ef)[0], 10) - data.recall(built.search(ef)[0], 10)
    worst = min(apart, key=apart.get)
    return apart[worst], f"by {len(data.queries):,} queries {apart[worst]:+.4f} at ef {worst}, mean {np.mean(list(apart.values())):+.4f}"


def view(data, rows, directory, queries=None):
    """Rows of a set in another order, written as a data set of their own."""
    base, queries = data.base[rows], data.queries if queries is None else queries
    return Set(directory, "view", data.metric, base, queries, data.label).write(base, queries)
