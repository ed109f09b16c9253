"""The other libraries, each with one query a call on one thread. Where a library takes a matrix and
loops over it query by query, it is handed the matrix, so that it pays nothing for Python; faiss,
which has an algorithm of its own for many, is called once a query."""
import ctypes, time
import numpy as np


def timed_loop(body, queries):
    began = time.process_time(); ids = body(queries)
    return ids, time.process_time() - began


class Hnswlib:
    name = "hnswlib"

    def __init__(self, data, m=16, efc=200):
        import hnswlib
        self.data = data
        self.index = hnswlib.Index("l2" if data.metric == "l2" else "ip", data.d)
        self.m, self.efc = m, efc

    def build(self, n=None):
        n = len(self.data.base) if n is None else n
        began = time.process_time()
        self.index.init_index(max_elements=len(self.data.base) + 4096, M=self.m, ef_construction=self.efc, random_seed=1)
        self.index.add_items(self.data.base[:n], np.arange(n), num_threads=1)
        self.build_cpu = time.process_time() - began
        return self

    def timed(self, ef, k=10):
        self.index.set_ef(max(ef, k))
        ids, cpu = timed_loop(lambda q: self.index.knn_query(q, k=k, num_threads=1)[0], self.data.queries)
        return ids.astype(np.int64), cpu, None

    def p50(self, ef, k=10):
        self.index.set_ef(max(ef, k)); times = []
        for query in self.data.queries:
            began = time.perf_counter_ns(); self.index.knn_query(query, k=k, num_threads=1); times.append(time.perf_counter_ns() - began)
        return float(np.median(times)) / 1e3


class SVS:
    name = "svs-f16"

    def __init__(self, data): self.data = data

    def build(self):
        import svs
        kind = svs.DistanceType.L2 if self.data.metric == "l2" else svs.DistanceType.MIP
        parameters = svs.VamanaBuildParameters(alpha=1.2 if self.data.metric == "l2" else 0.95, graph_max_degree=32, window_size=200)
        began = time.process_time()
        self.index = svs.Vamana.build(parameters, self.data.base.astype(np.float16), kind, num_threads=1)
        self.build_cpu = time.process_time() - began
        return self

    def timed(self, ef, k=10):
        self.index.search_window_size = max(ef, k)
        ids, cpu = timed_loop(lambda q: self.index.search(q, k)[0], self.data.queries)
        return ids.astype(np.int64), cpu, None


class FaissIVF:
    """IVF, PQ of 4 bits by fast scan, re-ranked on floats."""
    name = "faiss-ivfpqfs"

    def __init__(self, data): self.data = data

    def build(self):
        import faiss
        faiss.omp_set_num_threads(1)
        n, d = self.data.base.shape
        kind = faiss.METRIC_L2 if self.data.metric == "l2" else faiss.METRIC_INNER_PRODUCT
        began = time.process_time()
        self.index = faiss.index_factory(d, f"IVF{int(n ** 0.5)},PQ{d // 2}x4fs,RFlat", kind)
        self.index.train(self.data.base); self.index.add(self.data.base)
        self.build_cpu = time.process_time() - began
        self.index.k_factor = 4
        self.inner = faiss.downcast_index(self.index.base_index)
        self.faiss = faiss
        return self

    def timed(self, ef, k=10):
        """`ef` is the number of lists probed here."""
        queries = self.data.queries; self.inner.nprobe = ef
        ids = np.empty((len(queries), k), np.int64); distances = np.empty((len(queries), k), np.float32)
        pointers = [(self.faiss.swig_ptr(queries[i:i + 1]), self.faiss.swig_ptr(distances[i:i + 1]), self.faiss.swig_ptr(ids[i:i + 1])) for i in range(len(queries))]
        search = self.index.search_c
        began = time.process_time()
        for query, distance, found in pointers: search(1, query, k, distance, found)
        return ids, time.process_time() - began, None


class SymphonyQG:
    def __init__(self, data, bits):
        self.data, self.bits = data, bits
        self.name = "symqg" if bits == 0 else f"symqg-{bits}"

    def build(self):
        import rabitqlib
        self.index = rabitqlib.SymqgIndex(self.data.d, 32, metric="l2" if self.data.metric == "l2" else "ip", quantization_bits=self.bits)
        began = time.process_time()
        self.index.build(self.data.base, 200, num_threads=1)
        self.build_cpu = time.process_time() - began
        return self

    def timed(self, ef, k=10):
        ids, cpu = timed_loop(lambda q: self.index.search(q, k, max(ef, k), num_threads=1)[0], self.data.queries)
        return ids.astype(np.int64), cpu, None


class FaissFilter:
    """faiss with a bitmap of allowed ids: the better of its graph and its scan."""
    name = "faiss+bitmap"

    def __init__(self, data): self.data = data

    def build(self):
        import faiss
        faiss.omp_set_num_threads(1)
        kind = faiss.METRIC_L2 if self.data.metric == "l2" else faiss.METRIC_INNER_PRODUCT
        self.faiss = faiss
        self.graph = faiss.IndexHNSWFlat(self.data.d, 16, kind); self.graph.hnsw.efConstruction = 200
        self.graph.add(self.data.base)
        self.flat = faiss.IndexFlat(self.data.d, kind); self.flat.add(self.data.base)
        return self

    def search(self, masks, queries, k, ef):
        """One query a call; the bitmap is made for each. `ef` 0: the scan."""
        faiss, found = self.faiss, np.empty((len(queries), k), np.int64)
        began = time.process_time()
        for at, query in enumerate(queries):
            bits = np.packbits(masks[at], bitorder="little")
            selector = faiss.IDSelectorBitmap(bits)
            if ef:
                parameters = faiss.SearchParametersHNSW(sel=selector, efSearch=ef)
                found[at] = self.graph.search(query[None], k, params=parameters)[1][0]
            else:
                parameters = faiss.SearchParameters(sel=selector)
                found[at] = self.flat.search(query[None], k, params=parameters)[1][0]
        return found, time.process_time() - began


class Int8Scan:
    """The floor in C: int8 rows scanned in tiles, the best re-ranked on floats (scan_int8.c)."""

    def __init__(self, library, data):
        self.library = ctypes.CDLL(str(library)); self.data = data
        self.library.scan_prepare.restype = ctypes.c_void_p
        self.pointer = lambda array: array.ctypes.data_as(ctypes.c_void_p)
        n, d = data.base.shape
        self.state = ctypes.c_void_p(self.library.scan_prepare(self.pointer(data.base), ctypes.c_long(n), ctypes.c_long(d), ctypes.c_int(data.metric == "l2")))

    def batch(self, queries, k):
        ids = np.empty((len(queries), k), np.int32)
        began = time.process_time()
        self.library.scan_batch(self.state, self.pointer(queries), ctypes.c_long(len(queries)), ctypes.c_long(k), self.pointer(ids))
        return ids, time.process_time() - began

    def allowed(self, queries, k, mask):
        ids = np.empty((len(queries), k), np.int32); bytes_ = np.ascontiguousarray(mask.astype(np.uint8))
        began = time.process_time()
        self.library.scan_allowed(self.state, self.pointer(queries), ctypes.c_long(len(queries)), ctypes.c_long(k), self.pointer(bytes_), self.pointer(ids))
        return ids, time.process_time() - began


def longest_wait(library, seconds):
    """Milliseconds of the longest piece of a plain loop beside another busy thread, of about 0.1 ms each."""
    function = ctypes.CDLL(str(library)).longest_piece
    function.restype = ctypes.c_double
    return function(ctypes.c_double(seconds)) * 1e3
