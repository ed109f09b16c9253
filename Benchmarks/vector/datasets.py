"""Vector sets for the benchmark: the developer's (KFM_TEST_DATA) or seeded ones, each written as a
data set directory that `kfm bench vec-serve` opens, with the exact answers computed here."""
import json, os
from pathlib import Path
import numpy as np

NUMPY_METRIC = {"cosine": "ip", "ip": "ip", "l2": "l2"}


def unit(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)


def exact(base, queries, metric, k, allowed=None, block=200):
    """Row numbers of the k nearest, nearest first, by brute force in Float32."""
    rows = base if allowed is None else base[allowed]
    squares = (rows * rows).sum(1) if metric == "l2" else None
    found = []
    for at in range(0, len(queries), block):
        scores = queries[at:at + block] @ rows.T
        keys = -scores if squares is None else squares[None, :] - 2 * scores
        k_here = min(k, keys.shape[1])
        top = np.argpartition(keys, k_here - 1, axis=1)[:, :k_here]
        order = np.take_along_axis(keys, top, 1).argsort(1, kind="stable")
        found.append(np.take_along_axis(top, order, 1))
    ids = np.concatenate(found)
    return ids if allowed is None else np.asarray(allowed)[ids]


class Set:
    """`base` and `queries` are what the libraries get: of length 1 under cosine."""

    def __init__(self, directory, name, metric, base, queries, label, truth=None, fields=None):
        self.directory, self.name, self.metric, self.label = Path(directory), name, metric, label
        prepare = unit if metric == "cosine" else (lambda rows: rows)
        self.base = np.ascontiguousarray(prepare(base.astype(np.float32)))
        self.queries = np.ascontiguousarray(prepare(queries.astype(np.float32)))
        self.fields = fields
        self.truth = truth if truth is not None else exact(self.base, self.queries, metric, 100)

    @property
    def d(self): return self.base.shape[1]

    def write(self, base, queries, dtype="float32"):
        self.directory.mkdir(parents=True, exist_ok=True)
        base.astype(dtype).tofile(self.directory / "base.bin")
        queries.astype(dtype).tofile(self.directory / "queries.bin")
        self.truth.astype(np.int32).tofile(self.directory / "truth.i32")
        meta = {"name": self.name, "dims": base.shape[1], "count": len(base), "queries": len(queries), "truth_k": self.truth.shape[1],
                "metric": self.metric, "dtype": dtype, "endian": "little", "base": "base.bin", "query": "queries.bin", "truth": "truth.i32"}
        (self.directory / "meta.json").write_text(json.dumps(meta))
        return self

    def recall(self, ids, k, truth=None):
        truth = self.truth if truth is None else truth
        pairs = zip(ids.tolist(), truth.tolist())
        return float(np.mean([len(set(row[:k]) & set(want[:k])) / min(k, len(want)) if want else 1.0 for row, want in pairs]))


def developer(directory):
    """The set that KFM_TEST_DATA names, as it is."""
    meta = json.loads((Path(directory) / "meta.json").read_text())
    read = lambda name, rows: np.fromfile(Path(directory) / meta[name], meta["dtype"]).reshape(rows, meta["dims"])
    base, queries = read("base", meta["count"]), read("query", meta["queries"])
    truth = np.fromfile(Path(directory) / meta["truth"], np.int32).reshape(meta["queries"], meta["truth_k"])
    return Set(directory, meta["name"], meta["metric"], base, queries, meta["name"], truth)


def clustered(work, n, d, nq, metric="cosine", seed=1, shape="plain"):
    """Rows around centres that lie around centres, with a spread of their own each, in a subspace
    of fewer dimensions than they have, as embeddings do."""
    rng = np.random.default_rng(seed)
    inner = max(8, min(d, d // 6 + 16))
    lift = rng.standard_normal((inner, d)).astype(np.float32) / np.sqrt(inner)
    top = rng.standard_normal((max(4, n // 4000), inner))
    centres = top[rng.integers(len(top), size=max(16, n // 50))]
    centres = centres + 0.7 * rng.standard_normal(centres.shape)
    spread = 0.3 + 0.5 * rng.random(len(centres))

    def draw(count):
        which = rng.integers(len(centres), size=count)
        rows = centres[which] + spread[which, None] * rng.standard_normal((count, inner))
        return (rows @ lift + 0.05 * rng.standard_normal((count, d))).astype(np.float32), which
    base, which = draw(n)
    queries, _ = draw(nq)
    if shape == "raw":  # lengths between 0.2 and 5
        base *= np.exp(rng.uniform(-1.6, 1.6, (n, 1))).astype(np.float32)
        queries *= np.exp(rng.uniform(-1.6, 1.6, (nq, 1))).astype(np.float32)
    if shape == "outliers":  # four dimensions twenty times as wide as the rest
        wide = rng.choice(d, 4, replace=False)
        base[:, wide] *= 20; queries[:, wide] *= 20
    if shape == "ood":  # queries shifted away from the rows, of another covariance
        queries = (rng.standard_normal((nq, d)) * 0.6 + queries * 0.5 + 0.5 * rng.standard_normal(d)).astype(np.float32)
    label = f"seeded clustered set, {n} x {d}, {metric}, {shape}, seed {seed} (not real data)"
    name = f"{shape}-{d}-{metric}"
    made = Set(Path(work) / name, name, metric, base, queries, label, fields=which)
    return made.write(base, queries)
