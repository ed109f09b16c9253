"""Rows on other data, filters, batches, threads and files."""
import filecmp, os, signal, statistics, time
import numpy as np
import datasets, peers
from driver import DriverError, Kfm

SHAPES = [  # dimension, metric, shape
    (100, "cosine", "plain"), (768, "cosine", "plain"), (1000, "cosine", "plain"), (128, "l2", "plain"), (128, "ip", "raw"),
    (128, "l2", "raw"), (128, "l2", "outliers"), (128, "cosine", "outliers"), (128, "cosine", "ood"), (384, "l2", "ood"),
]


def pass_time(library, ef, k, seconds):
    """CPU seconds of all queries once, from as many passes as take `seconds`: of one short pass, half
    is the caches that another process left cold."""
    used, passes = 0.0, 0
    while used < seconds: used += library.timed(ef, k)[1]; passes += 1
    return used / passes


def equal_ef(bench, data, kfm, hnsw, k, efs, what):
    """Rate and recall at the same ef: the rate's ratio, and the worst difference of recall."""
    ratios, differences, shown = [], [], []
    for ef in efs:
        pairs = []
        for _ in range(bench.rounds):
            ours = pass_time(kfm, ef, k, bench.seconds)
            if hnsw: pairs.append(pass_time(hnsw, ef, k, bench.seconds) / ours)
        mine = data.recall(kfm.timed(ef, k)[0], k)
        other = data.recall(hnsw.timed(ef, k)[0], k) if hnsw else float("nan")
        shown.append(f"ef {ef}: {mine:.4f}/{other:.4f}" + (f" {statistics.median(pairs):.2f}x" if pairs else ""))
        if pairs: ratios.append(statistics.median(pairs)); differences.append(mine - other)
    if hnsw is None: return bench.table.note(f"{what}: " + ", ".join(shown))
    bench.table.row(f"{what}: rate at equal ef, lowest", min(ratios), 2, 3, unit="x", detail=", ".join(shown))
    bench.table.row(f"{what}: recall at equal ef, worst difference", min(differences), -0.003)


def other_k(bench, data, kfm):
    bench.table.head("k = 1 and k = 100 on the same set, beside hnswlib")
    for k, efs in ((1, (10, 32, 64)), (100, (100, 160, 256))):
        equal_ef(bench, data, kfm, bench.hnswlib, k, efs, f"k={k}")


def other_data(bench):
    bench.table.head("other dimensions, metrics and distributions (seeded), beside hnswlib")
    for d, metric, shape in SHAPES[:2 if bench.is_tiny else None]:
        data = datasets.clustered(bench.work, bench.count(20_000), d, bench.count(500), metric, 11, shape)
        kfm = Kfm(bench.kfm, bench.work); kfm.open(data); kfm.build()
        hnsw = peers.Hnswlib(data).build() if bench.has_peers else None
        equal_ef(bench, data, kfm, hnsw, 10, (32, 64, 128), f"d={d} {metric} {shape}")
        kfm.close()


def masks_of(data, share, count, rng):
    return [rng.random(len(data.base)) < share for _ in range(count)]


def filters(bench, data, kfm):
    table, n, rng = bench.table, len(data.base), np.random.default_rng(9)
    groups = 10 if not bench.is_tiny else 2
    each = max(1, len(data.queries) // groups)
    kinds = [(f"{share:g} %", lambda share=share: masks_of(data, share / 100, groups, rng)) for share in (10, 1, 0.1, 30, 50, 90)]
    field = data.base @ data.base[0]
    kinds += [("by a field (a fifth, correlated)", lambda: [(field > np.quantile(field, 0.8))] * groups), ("far clusters only", lambda: [far(data, at * each) for at in range(groups)])]
    faiss_index = peers.FaissFilter(data).build() if bench.has_peers else None
    table.head("filters: a fresh mask a query, its cost included, recall@10 >= 0.99")
    for name, make in kinds:
        masks = make(); used = floor = other = 0.0; recalls, others = [], []
        for group, mask in enumerate(masks):
            queries = data.queries[group * each:(group + 1) * each]
            truth = datasets.exact(data.base, queries, data.metric, 10, np.flatnonzero(mask))
            part = bench.part(data, queries, f"filter-{group}")
            kfm.open(part)
            found = []
            for ef in (64, 100, 200):
                ids, answer = kfm.filter(mask, ef=ef, k=10)
                found.append((data.recall(ids, 10, truth), answer["cpu_s"]))
                if found[-1][0] >= 0.99: break
            used += found[-1][1]; recalls.append(found[-1][0])
            if bench.scan: floor += bench.scan.allowed(np.ascontiguousarray(queries), 10, mask)[1]
            if faiss_index:
                best = min((faiss_index.search([mask] * len(queries), queries, 10, ef) for ef in (0, 64, 200, 600)), key=lambda found: found[1] if data.recall(found[0], 10, truth) >= 0.99 else 1e9)
                other += best[1]; others.append(data.recall(best[0], 10, truth))
        recall = f"recall {np.mean(recalls):.4f}" + (f", faiss {np.mean(others):.4f}" if others else "")
        must = {"10 %": 4, "1 %": 30}.get(name)
        if np.mean(recalls) < 0.99: table.row(f"filter {name}: recall", float(np.mean(recalls)), 0.99)
        if other: table.row(f"filter {name}: rate to faiss + bitmap", other / used, must, unit="x", detail=recall)
        if floor: table.row(f"filter {name}: time to an exact scan of the allowed", used / floor, 1.2, None, True, "x", detail=f"{used / len(data.queries) * 1e6:.0f} us a query, {recall}")
    kfm.open(data)


def far(data, query):
    """The fifth of the rows that is farthest from a query."""
    scores = data.base @ data.queries[query]
    return scores < np.quantile(scores, 0.2)


def batches(bench, data, kfm):
    table = bench.table; table.head("a batch of all queries")
    for ef in (32, 64):
        single, batch = [], []
        for _ in range(bench.rounds):
            ids, answer = kfm.search(ef); single.append(answer["cpu_s"])
            many, answer = kfm.search(ef, mode="batch"); batch.append(answer["cpu_s"])
        difference = data.recall(many, 10) - data.recall(ids, 10)
        table.row(f"batch, ef {ef}: recall to single calls", difference, 0, detail=f"{data.recall(many, 10):.4f}")
        table.row(f"batch, ef {ef}: rate to single calls", [a / b for a, b in zip(single, batch)], 1, unit="x")
        if bench.scan:
            floor = [bench.scan.batch(data.queries, 10) for _ in range(bench.rounds)]
            table.row(f"batch, ef {ef}: rate to a tiled int8 scan in C", [cpu / b for (_, cpu), b in zip(floor, batch)], 0.9, unit="x", detail=f"the scan's recall {data.recall(floor[0][0], 10):.4f}")


def threads(bench, data, kfm):
    table = bench.table; table.head("two threads, and the same file from any number")
    wall = {1: [], 2: []}; files = []
    for number in range(bench.rounds):
        for count in (1, 2):
            wall[count].append(kfm.build(threads=count)["build_s"])
            if number < 2:
                files.append(bench.work / f"same-{number}-{count}"); kfm.call(op="save", path=str(files[-1]))
    table.row("build with 2 threads, wall", [a / b for a, b in zip(wall[1], wall[2])], 1.7, unit="x", detail=f"{statistics.median(wall[1]):.2f} s with one")
    table.row("same file from 1 and 2 threads and two runs", float(all(filecmp.cmp(files[0], name, shallow=False) for name in files[1:])), 1)
    pairs = []
    for _ in range(bench.rounds * 3):
        one = kfm.search(128, mode="batch", threads=1)[1]["wall_s"]; two = kfm.search(128, mode="batch", threads=2)[1]["wall_s"]
        pairs.append(one / two)
    table.row("batch with 2 threads, wall", pairs, 1.7, unit="x")


def probe(bench, data, kfm):
    """The library's own watch on its recall, beside what is counted here."""
    bench.table.head("the recall probe")
    for ef in (10, 64):
        told, counted = kfm.call(op="probe", ef=ef, k=10)["recall"], data.recall(kfm.search(ef)[0], 10)
        bench.table.row(f"recall probe, ef {ef}: off by", abs(told - counted), 0.01, None, True, detail=f"{told:.4f}, counted {counted:.4f}")


def beside(bench, data):
    """Searches while another thread adds."""
    table, n = bench.table, len(data.base); table.head("searching beside adding")
    kfm = Kfm(bench.kfm, bench.work); kfm.open(data); ratios, longest = [], []
    extra = min(2000, n // 10)
    for _ in range(bench.rounds):
        kfm.build(n=n - extra)
        answer = kfm.call(op="mixed", **{"from": n - extra, "to": n}, ef=64, k=10)
        ratios.append(answer["p99_us"] / answer["p99_idle_us"]); longest.append(answer["longest_add_us"] / 1e3)
    table.row("reader p99 while another thread adds", ratios, 2, None, True, "x")
    table.row("longest addition", longest, 10, None, True, " ms")
    kfm.close()


def growth(bench):
    """50k rows grow to 500k, one by one: the longest addition, and memory at its peak."""
    table = bench.table; table.head("growing tenfold (seeded)")
    data = datasets.clustered(bench.work, bench.count(500_000), 64, 100, "cosine", 13)
    waits = bench.compile("waits"); wait = lambda: peers.longest_wait(waits, bench.seconds * 100)
    for readers, what in ((0, ""), (1, " beside a thread that searches")):
        kfm = Kfm(bench.kfm, bench.work); kfm.open(data); n = len(data.base)
        kfm.build(n=n // 10, threads=2)
        machine = wait()
        answer = kfm.call(op="mixed", **{"from": n // 10, "to": n}, ef=64, k=10, readers=readers)
        machine = max(machine, wait())
        status = dict(line.split(":", 1) for line in open(f"/proc/{kfm.pid}/status") if ":" in line)
        kilobytes = lambda name: int(status[name].split()[0])
        table.row(f"50k to 500k rows{what}: longest addition", answer["longest_add_us"] / 1e3, 10, None, True, " ms", f"of it {answer['longest_add_ran_us'] / 1e3:.2f} ms on a processor, {answer['longest_add_preempted_us'] / 1e3:.2f} ms preempted; {answer['longest_add_cpu_us'] / 1e3:.2f} ms of processor time at most")
        table.note(f"a plain loop in C beside another busy thread, {bench.seconds * 100:.0f} s before and after: longest wait {machine:.1f} ms")
        # The driver's own copy of the rows to come is in both.
        table.row(f"50k to 500k rows{what}: peak RSS to final", kilobytes("VmHWM") / kilobytes("VmRSS"), 1.3, None, True, "x", f"{kilobytes('VmRSS') / 1024:.0f} MB, recall at ef 64 {data.recall(kfm.search(64)[0], 10):.4f}")
        kfm.close()


def files(bench, data, kfm):
    table = bench.table; table.head("files")
    path = bench.work / "index.vidx"
    size = kfm.call(op="save", path=str(path))["bytes"]
    fresh, opened, loaded = Kfm(bench.kfm, bench.work), [], []
    fresh.open(data)
    for _ in range(max(3, bench.rounds)):
        answer = fresh.call(op="load", path=str(path), mmap=True)
        _, first = fresh.search(64, nq=1)
        opened.append((answer["wall_s"] + first["wall_s"]) * 1e3)
        loaded.append(size / fresh.call(op="load", path=str(path), mmap=False)["wall_s"] / 1e9)
    table.row("mmap open to first answer", opened, 10, 3, True, " ms")
    table.row("full load", loaded, 1, unit=" GB/s", detail=f"{size / 1e6:.1f} MB")
    mapped = fresh.call(op="load", path=str(path), mmap=True)
    table.row("mapped: recall at ef 64", data.recall(fresh.search(64)[0], 10), data.recall(kfm.search(64)[0], 10) - 1e-9)
    fresh.close()
    kills(bench, data, kfm, path)


def kills(bench, data, kfm, path):
    """kill -9 at random moments of a save: the next process opens what stood there, or the new one."""
    rng = np.random.default_rng(4); good = 0
    rounds = 50 if not bench.is_tiny else 3
    began = time.perf_counter(); kfm.call(op="save", path=str(path)); took = time.perf_counter() - began
    for _ in range(rounds):
        victim = Kfm(bench.kfm, bench.work); victim.open(data); victim.call(op="load", path=str(path), mmap=False)
        victim.send(op="save", path=str(path)); time.sleep(float(rng.random()) * took * 1.2); victim.kill()
        reader = Kfm(bench.kfm, bench.work); reader.open(data)
        try:
            reader.call(op="load", path=str(path), mmap=False)
            good += data.recall(reader.search(64, nq=20)[0], 10) > 0.5
        except DriverError as error: bench.table.note(f"after a kill: {error}")
        reader.close()
    bench.table.row(f"kill -9 during save, opened of {rounds}", float(good), rounds)
