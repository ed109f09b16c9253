#!/usr/bin/env python3
"""What the loop's sockets cost, beside the same servers in C in the same run.

    make bench-ring [ROUNDS=9]

`kfm bench echo-server` and the C floors are driven in turns, so that a busy machine is busy for all.
The figure is the server's own CPU time a request (/proc/PID/task/*/schedstat): unlike latencies it
holds on a busy machine. A row is the geometric mean over its grid of the cells' medians over the
rounds; its interval, 95 %, comes from drawing the rounds again (bootstrap, seeded). A bar is met when
the interval touches it and no cell but 1x1 is above 1.4 times the bar. The server runs on core 0, the
load generator on core 1. Python's standard library only.
"""
import argparse, json, math, os, random, re, resource, shutil, socket, statistics, subprocess, sys, tempfile, threading, time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
IN_FLIGHT_MAX = 16 << 20
GRID = [(conns, depth, size) for size in (128, 65536) for conns in (1, 8, 64) for depth in (1, 16, 64)]
TINY = [(1, 1, 128), (8, 16, 128), (8, 4, 65536)]
TLS_GRID = [(1, 1, 65536), (8, 4, 65536), (64, 1, 65536)]
FLOORS = {"echo_uring": ["-luring"], "echo_epoll": [], "echo_tls": ["-lssl", "-lcrypto"], "ping": ["-lpthread"], "drive": ["-lssl", "-lcrypto"]}


def build(out):
    out.mkdir(parents=True, exist_ok=True)
    for name, libraries in FLOORS.items():
        binary = out / ("drive_echo" if name == "drive" else name)
        subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-o", str(binary), str(HERE / f"{name}.c"), *libraries], check=True)
    subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-fPIC", "-shared", "-o", str(out / "count_malloc.so"), str(HERE / "count_malloc.c")], check=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0)); return s.getsockname()[1]


def pinned(core, command):
    return (["taskset", "-c", str(core)] if (os.cpu_count() or 1) > 1 and shutil.which("taskset") else []) + command


class Server:
    def __init__(self, name, command, cores=0, env=None):
        self.name = name; self.port = free_port()
        self.process = subprocess.Popen(pinned(cores, [str(a).replace("PORT", str(self.port)) for a in command]), stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
        self.ready = self.process.stdout.readline().strip()
        if not self.ready: sys.exit(f"{name} did not start: {' '.join(map(str, command))}")

    def thread_cpu(self):
        tasks = Path(f"/proc/{self.process.pid}/task")
        return {t.name: int((t / "schedstat").read_text().split()[0]) for t in tasks.iterdir()}


class Bench:
    def __init__(self, args):
        self.args, self.servers, self.rows, self.out = args, {}, [], HERE.parent / "out"

    def start(self, name, command, cores=0, env=None):
        self.servers[name] = Server(name, command, cores, env); return self.servers[name]

    def drive(self, name, cell, *more):
        conns, depth, size = cell; server = self.servers[name]
        depth = max(1, min(depth, IN_FLIGHT_MAX // (conns * size)))
        command = [self.out / "drive_echo", "--port", server.port, "--pid", server.process.pid, "--conns", conns, "--depth", depth, "--bytes", size, "--ms", self.args.ms, "--warm", max(10, self.args.ms // 5), *more]
        run = subprocess.run(pinned(1, [str(c) for c in command]), capture_output=True, text=True)
        if run.returncode: sys.exit(f"{name} {cell}: {run.stderr}")
        return json.loads(run.stdout)

    def measure(self, names, grid, *more):
        found = {name: {cell: [] for cell in grid} for name in names}
        for index in range(self.args.rounds):
            for cell in grid:
                # Whoever comes first finds another machine than whoever comes last.
                for name in names[index % len(names):] + names[:index % len(names)]:
                    found[name][cell].append(self.drive(name, cell, *more))
        return found

    def row(self, name, value, bar, low=None, high=None, unit="", ok=None, at_least=False):
        low, high = (value, value) if low is None else (low, high)
        ok = (high >= bar if at_least else low <= bar) if ok is None else ok
        sign = ">=" if at_least else "<="
        print(f"{name:<46} {value:>10.3f}{unit} [{low:.3f}..{high:.3f}] {sign} {bar:g}{unit} {'pass' if ok else 'FAIL'}", flush=True)
        self.rows.append({"name": name, "value": value, "low": low, "high": high, "bar": bar, "ok": ok})

    def ratio_row(self, name, found, ours, floor, bar, key="cpu_ns", cell_factor=1.4):
        value, low, high, cells = ratio(found[ours], found[floor], key)
        worst = max(((r, c) for c, r in cells.items() if c[:2] != (1, 1)), default=(0, None))
        self.row(name, value, bar, low, high, "x", low <= bar and (not cell_factor or worst[0] <= bar * cell_factor))
        print(f"    worst cell {'x'.join(map(str, worst[1]))}: {worst[0]:.2f}x" if worst[1] else "")


def ratio(ours, floor, key, draws=400):
    """Geometric mean over the cells of the medians over the rounds of ours / floor, and its interval."""
    pairs = {cell: [a[key] / b[key] for a, b in zip(ours[cell], floor[cell]) if a[key] > 0 and b[key] > 0] for cell in ours}
    # A short cell on a busy machine may see no answer at all.
    pairs = {cell: values for cell, values in pairs.items() if values}
    if not pairs: return math.nan, math.nan, math.nan, {}
    def mean(pick): return math.exp(statistics.fmean(math.log(statistics.median(pick(v))) for v in pairs.values()))
    source = random.Random(5)
    drawn = sorted(mean(lambda v: source.choices(v, k=len(v))) for _ in range(draws))
    return mean(lambda v: v), drawn[int(draws * 0.025)], drawn[int(draws * 0.975) - 1], {c: statistics.median(v) for c, v in pairs.items()}


def table(found):
    names = list(found)
    print(f"\n{'conns x depth x bytes':<22}" + "".join(f"{n + ' ns (p50/p99 us)':>34}" for n in names))
    for cell in found[names[0]]:
        middle = lambda n, k: statistics.median(r[k] for r in found[n][cell])
        print(f"{'x'.join(map(str, cell)):<22}" + "".join(f"{middle(n, 'cpu_ns'):>15,.0f} {'(%.0f/%.0f)' % (middle(n, 'p50_us'), middle(n, 'p99_us')):>18}" for n in names))


def certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem", "-days", "2", "-subj", "/CN=localhost"], check=True, capture_output=True)
    return f"{folder}/cert.pem", f"{folder}/key.pem"


def basic(bench):
    kfm = bench.args.kfm
    ours = bench.start("kfm", [kfm, "bench", "echo-server", "--port", "PORT", "--io", "auto", "--json"])
    bench.start("kfm epoll", [kfm, "bench", "echo-server", "--port", "PORT", "--io", "epoll"])
    bench.start("C uring", [bench.out / "echo_uring", "PORT"]); bench.start("C epoll", [bench.out / "echo_epoll", "PORT"])
    return json.loads(ours.ready)["io"]


def echo(bench, grid, io):
    print(f"io: {io} · {bench.args.rounds} rounds of {bench.args.ms} ms a cell · {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    found = bench.measure(["kfm", "C uring", "C epoll", "kfm epoll"], grid)
    bench.ratio_row("echo CPU a request, against C io_uring", found, "kfm", "C uring", 1.10)
    bench.ratio_row("echo CPU a request, against C epoll", found, "kfm", "C epoll", 1.25)
    bench.ratio_row("echo CPU a request, --io epoll, against C epoll", found, "kfm epoll", "C epoll", 1.3)
    bench.ratio_row("echo p50, against C epoll", found, "kfm", "C epoll", 1.15, "p50_us", None)
    bench.ratio_row("echo p99, against C epoll", found, "kfm", "C epoll", 2, "p99_us", None)
    table(found)


def flood(bench):
    """An absolute time: it holds on a quiet machine, which the C floor beside it shows."""
    print()
    found = bench.measure(["C epoll", "kfm"], [(64, 1, 128)], "--flood")
    times = {name: sorted(r["p99_us"] / 1000 for r in cells[(64, 1, 128)]) for name, cells in found.items()}
    floor = times["C epoll"]
    print(f"{'p99 of 63 beside one that floods, C epoll':<46} {statistics.median(floor):>10.3f}ms [{floor[0]:.3f}..{floor[-1]:.3f}] load {os.getloadavg()[0]:.1f}")
    bench.row("p99 of 63 beside one that floods", statistics.median(times["kfm"]), 5.0, times["kfm"][0], times["kfm"][-1], "ms")


def allocations(bench, folder):
    """Two runs that differ only in the number of requests: what the difference allocates."""
    path = f"{folder}/mallocs"
    bench.start("counted", [bench.args.kfm, "bench", "echo-server", "--port", "PORT"], env={"LD_PRELOAD": str(bench.out / "count_malloc.so"), "KFM_MALLOC_COUNT": path})
    more = int(20000 * min(1, bench.args.scale)) + 1000
    for cell in ((1, 1, 128), (8, 16, 128), (8, 4, 65536)):
        spent = []
        for requests in (500, 500, 500 + more):
            before = int.from_bytes(Path(path).read_bytes(), "little"); bench.drive("counted", cell, "--requests", requests)
            time.sleep(0.2); spent.append(int.from_bytes(Path(path).read_bytes(), "little") - before)
        each = max(0, spent[2] - spent[1]) / more
        bench.row(f"allocations a request, {'x'.join(map(str, cell))}", each, 0.001, each, each)


def loops(bench):
    server = bench.start("two loops", [bench.args.kfm, "bench", "echo-server", "--port", "PORT", "--loops", "2"], "0,1")
    before = server.thread_cpu(); bench.drive("two loops", (64, 1, 128)); after = server.thread_cpu()
    spent = sorted(after[t] - before.get(t, 0) for t in after)[-2:]
    share = 100 * spent[0] / sum(spent)
    bench.row("two loops: the smaller share of the work", share, 30, share, share, "%", at_least=True)
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(64)]
    time.sleep(0.2); before, began = sum(server.thread_cpu().values()), time.monotonic()
    time.sleep(1); used = 100 * (sum(server.thread_cpu().values()) - before) / ((time.monotonic() - began) * 1e9)
    for one in idle: one.close()
    bench.row("two loops: CPU while 64 connections idle", used, 0.5, used, used, "%")


def tls(bench, folder):
    cert, key = certificate(folder)
    bench.start("kfm tls", [bench.args.kfm, "bench", "echo-server", "--port", "PORT", "--tls-cert", cert, "--tls-key", key])
    bench.start("C tls", [bench.out / "echo_tls", "PORT", cert, key])
    found = bench.measure(["kfm tls", "C tls"], TLS_GRID, "--tls")
    bench.ratio_row("echo over TLS 1.3, 64 KiB, CPU, against C", found, "kfm tls", "C tls", 1.15, cell_factor=1.4)


def rss(pid): return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) * 1024


def descriptors(pid): return len(os.listdir(f"/proc/{pid}/fd"))


def settle(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end: time.sleep(0.05)
    return condition()


def proof(bench):
    """Peers that do not behave, against the real program."""
    server = bench.start("proof", [bench.args.kfm, "bench", "echo-server", "--port", "PORT"])
    pid, scale = server.process.pid, min(1.0, bench.args.scale)
    def connect(): return socket.create_connection(("127.0.0.1", server.port))
    bench.drive("proof", (8, 1, 128))
    half_closed(bench, connect, int((64 << 20) * scale))
    unread(bench, connect, pid, int((1 << 30) * scale))
    crowd(bench, int(10000 * scale))
    before, count = descriptors(pid), int(1000 * scale)
    for _ in range(count):
        one = connect(); one.setblocking(False)
        try:
            while True: one.send(b"x" * 65536)
        except BlockingIOError: pass
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"); one.close()
    settle(lambda: descriptors(pid) <= before)
    bench.row(f"descriptors left of {count} resets in mid-send", descriptors(pid) - before, 0)


def half_closed(bench, connect, total):
    pattern = random.Random(7).randbytes(1 << 20)
    one = connect()
    def send():
        for at in range(0, total, 1 << 20): one.sendall(pattern[:min(1 << 20, total - at)])
        one.shutdown(socket.SHUT_WR)
    sender = threading.Thread(target=send); sender.start()
    good = got = 0
    while True:
        part = one.recv(65536)
        if not part: break
        start = got % (1 << 20); expected = (pattern + pattern)[start:start + len(part)]
        good += len(part) if part == expected else 0; got += len(part)
        time.sleep(0.0005)
    sender.join(); one.close()
    bench.row(f"bytes lost of {total >> 20} MiB sent, half-closed, read slowly", total - good, 0)


def unread(bench, connect, pid, total):
    before, sent, one = rss(pid), 0, connect()
    one.setblocking(False); chunk = b"x" * (1 << 20); quiet = time.monotonic()
    while sent < total and time.monotonic() - quiet < 1:
        try: sent += one.send(chunk); quiet = time.monotonic()
        except BlockingIOError: time.sleep(0.01)
    others = bench.drive("proof", (8, 1, 128))
    bench.row(f"RSS growth, {total >> 20} MiB to whose answer nobody reads", (rss(pid) - before) / (1 << 20), 16, unit="MiB")
    print(f"    {sent >> 20} MiB taken before it was held back; beside it {others['requests']} requests of others, p99 {others['p99_us'] / 1000:.2f} ms")
    one.close()


def crowd(bench, count):
    """Two servers of each kind, one with idle connections and one without, driven in turns."""
    for kind, command in {"C epoll": [bench.out / "echo_epoll", "PORT"], "kfm": [bench.args.kfm, "bench", "echo-server", "--port", "PORT"]}.items():
        full = bench.start(f"{kind} crowded", command); bench.start(f"{kind} alone", command)
        names = [f"{kind} crowded", f"{kind} alone"]
        for name in names: bench.drive(name, (8, 1, 128))
        pid = full.process.pid; before = rss(pid)
        idle = [socket.create_connection(("127.0.0.1", full.port)) for _ in range(count)]
        settle(lambda: descriptors(pid) >= count)
        each = (rss(pid) - before) / count / 1024
        found = bench.measure(names, [(8, 1, 128)])
        for one in idle: one.close()
        if kind == "kfm":
            bench.row(f"RSS of each of {count} idle connections", each, 4, unit="KiB")
            bench.ratio_row("p50 of others beside them", found, *names, 1.1, "p50_us", None)
            continue
        value, low, high, _ = ratio(found[names[0]], found[names[1]], "p50_us")
        print(f"{f'p50 of others beside {count} idle ones, C epoll':<46} {value:>10.3f}x [{low:.3f}..{high:.3f}]")


def primitives(bench):
    """Awaiting on the loop, and wake-ups across loops beside an eventfd ping in C."""
    rounds = [(json.loads(run(bench, [bench.args.kfm, "bench", "loop", "--json", "--scale", str(bench.args.scale)])), json.loads(run(bench, [bench.out / "ping", str(int(20000 * bench.args.scale) + 100)]))) for _ in range(bench.args.rounds)]
    def spread(values): values = sorted(values); return statistics.median(values), values[0], values[-1]
    for key, name, bar in (("await_ns", "await and resume on the loop", 350), ("await_cancellable_ns", "the same with a cancellation handler", 550)):
        value, low, high = spread([ours[key] for ours, _ in rounds]); bench.row(name, value, bar, low, high, "ns")
    value, low, high = spread([ours["hops"] for ours, _ in rounds]); bench.row("hops through another thread", value, 0, low, high)
    value, low, high = spread([ours["ping_ns"] / floor["ping_ns"] for ours, floor in rounds]); bench.row("wake-up across loops, against a C eventfd ping", value, 1.3, low, high, "x")


def run(bench, command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode: sys.exit(f"{command}: {done.stderr}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kfm", default=str(ROOT / ".build/release/kfm")); parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--scale", type=float, default=1.0, help="less than 1 for a quick look: a small grid and short cells"); parser.add_argument("--only", help="echo, flood, allocations, loops, tls, proof, primitives; with commas"); parser.add_argument("--json", help="also write the rows to this file")
    args = parser.parse_args(); args.ms = max(20, int(150 * args.scale))
    # Idle connections are all open here.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]; resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    bench = Bench(args); build(bench.out); folder = tempfile.mkdtemp(prefix="kfm-ring-")
    wanted = args.only.split(",") if args.only else ["echo", "flood", "allocations", "loops", "tls", "proof", "primitives"]
    try:
        io = basic(bench)
        if "echo" in wanted: echo(bench, GRID if args.scale >= 0.5 else TINY, io)
        if "flood" in wanted: flood(bench)
        if "allocations" in wanted: allocations(bench, folder)
        if "loops" in wanted: loops(bench)
        if "tls" in wanted: tls(bench, folder)
        if "proof" in wanted: proof(bench)
        if "primitives" in wanted: primitives(bench)
    finally:
        for server in bench.servers.values(): server.process.kill()
        shutil.rmtree(folder, ignore_errors=True)
    if args.json: Path(args.json).write_text("".join(json.dumps(row) + "\n" for row in bench.rows))


if __name__ == "__main__": main()
