#!/usr/bin/env python3
"""What the node adds to a turn, beside a minimal C relay in the same run.

    make bench-turn [ROUNDS=9]

Starts a scripted model without think time, the relay, and the release node with each pack, and
drives them in turns, so that a busy machine is busy for all. Medians over the rounds, with the
lowest and the highest; ratios are between medians. Python's standard library only.
"""
import argparse, json, os, re, signal, socket, statistics, subprocess, sys, tempfile, threading, time, urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DONE, COMPLETED = "data: [DONE]", "event: turn.completed"
AIMS = {"added p50": ("ms", 2.0, "<="), "turns/s at 16": ("", 1000, ">="), "tokens/s at 64": ("", 30000, ">="), "paced tokens/s": ("", 30000, ">="), "RSS": ("MB", 60, "<="), "start": ("ms", 100, "<=")}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0)); return s.getsockname()[1]


def build(out):
    out.mkdir(parents=True, exist_ok=True)
    for name in ("scripted_llm", "relay", "drive"):
        subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-o", str(out / name), str(HERE / f"{name}.c")], check=True)


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(x) for x in fields[11:13]) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


class Node:
    def __init__(self, kfm, llm_port, directory):
        config = directory / "config.toml"
        config.write_text(f'config_version = 1\n[node]\ndata_dir = "{directory}/data"\n[http]\nlisten = "127.0.0.1:0"\n[packs]\ndir = "{ROOT}/personalities"\n[[providers]]\nname = "scripted"\nkind = "openai"\nbase_url = "http://127.0.0.1:{llm_port}/v1"\napi_key = "x"\nmodels = ["scripted"]\n')
        began = time.time()
        env = {k: v for k, v in os.environ.items() if not k.startswith("KFM_")}
        self.process = subprocess.Popen([kfm, "serve", "--config", str(config)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=env)
        self.log = []
        for line in self.process.stderr:
            self.log.append(line.decode(errors="replace"))
            record = json.loads(line) if line.startswith(b"{") else {}
            if record.get("message") == "listening":
                self.start_ms = (time.time() - began) * 1000
                self.port = int(record["address"].rsplit(":", 1)[1]); break
        else: sys.exit("the node did not start:\n" + "".join(self.log))
        threading.Thread(target=lambda: [None for _ in self.process.stderr], daemon=True).start()


def log_bytes(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/admin/topics") as r:
        return sum(row["bytes"] for row in json.load(r)["items"])


def disk_bytes(directory):
    return sum(f.stat().st_blocks * 512 for f in Path(directory).rglob("*") if f.is_file())


def drive(out, port, path, clients, requests, tokens, marker, body):
    p = subprocess.run([out / "drive", str(port), path, str(clients), str(requests), str(tokens), marker, body], capture_output=True, text=True)
    if p.returncode: sys.exit(f"drive failed: {p.stderr}")
    return json.loads(p.stdout)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--kfm", default=str(ROOT / ".build/release/kfm")); ap.add_argument("--rounds", type=int, default=9); ap.add_argument("--scale", type=float, default=1.0, help="less than 1 for a quick look"); ap.add_argument("--json")
    args = ap.parse_args()
    out = HERE.parent / "out"; build(out); processes = []
    llm_port, relay_port = free_port(), free_port()
    work = Path(tempfile.mkdtemp(prefix="kfm-bench-"))
    try:
        processes.append(subprocess.Popen([out / "scripted_llm", str(llm_port)])); processes.append(subprocess.Popen([out / "relay", str(relay_port), str(llm_port)])); time.sleep(0.2)
        node = Node(args.kfm, llm_port, work); processes.append(node.process)
        fresh = disk_bytes(work / "data")
        n = lambda count: max(4, int(count * args.scale))
        chat = '{"model":"scripted","stream":true,"messages":[{"role":"user","content":"c%d [[tokens:TOKENS]]PACE"}]}'
        turn = '{"user_message":"c%d why does a log call fdatasync before it acknowledges? [[tokens:TOKENS]]PACE","personality_id":"PERSONALITY"}'
        targets = {"direct": (llm_port, "/v1/chat/completions", DONE, chat), "relay": (relay_port, "/v1/turns", DONE, turn), "minimal": (node.port, "/v1/turns", COMPLETED, turn.replace("PERSONALITY", "minimal")), "archivist": (node.port, "/v1/turns", COMPLETED, turn.replace("PERSONALITY", "archivist"))}
        cells, cpu = {}, {}
        def cell(target, what, clients, requests, tokens, pace=""):
            port, path, marker, body = targets[target]; before = cpu_seconds(node.process.pid)
            r = drive(out, port, path, clients, requests, tokens, marker, body.replace("TOKENS", str(tokens)).replace("PACE", pace))
            cells.setdefault((target, what), []).append(r)
            if target in ("minimal", "archivist"): cpu.setdefault((target, what), []).append((cpu_seconds(node.process.pid) - before) * 1e6 / requests)
        for target in targets: cell(target, "warm-up", 4, n(40), 8)
        for _ in range(args.rounds):
            for target in targets: cell(target, "latency", 1, n(200), 8)
            for target in targets: cell(target, "turns/s at 1", 1, n(200), 8)
            for target in targets: cell(target, "turns/s at 16", 16, n(800), 8)
            for target in targets: cell(target, "tokens/s at 64", 64, n(128), 200)
            # A token every 1.9 ms and client is 33,700 a second: what is lost of that is lost by the target.
            for target in targets: cell(target, "paced tokens/s", 64, n(128), 400, "[[pace:1900]]")
        rss, disk = rss_mb(node.process.pid), {"fresh": fresh}
        for target in ("minimal", "archivist"):
            before = log_bytes(node.port); drive(out, *targets[target][:2], 4, 200, 8, targets[target][2], targets[target][3].replace("TOKENS", "8").replace("PACE", "")); time.sleep(0.5)
            disk[target] = (log_bytes(node.port) - before) / 200
        report(args, node, cells, cpu, rss, disk)
    finally:
        for p in processes: p.send_signal(signal.SIGKILL)
        subprocess.run(["rm", "-rf", str(work)])


def spread(values): return statistics.median(values), min(values), max(values)


def report(args, node, cells, cpu, rss, disk):
    rows, facts = [], []
    def row(target, what, key, unit, scale=1.0):
        median, low, high = spread([r[key] * scale for r in cells[(target, what)]])
        base = spread([r[key] * scale for r in cells[("relay", what)]])[0]
        rows.append((target, what + (" " + key.split("_")[0] if key.endswith("_us") else ", events a turn" if "events" in key else ""), f"{median:,.2f}{unit}", f"{low:,.2f} – {high:,.2f}", f"{median / base:.2f}×"))
        facts.append({"target": target, "what": what, "key": key, "median": median, "low": low, "high": high, "relay_ratio": median / base})
    for target in ("direct", "relay", "minimal", "archivist"):
        row(target, "latency", "p50_us", " ms", 1e-3); row(target, "latency", "p99_us", " ms", 1e-3)
        for what in ("turns/s at 1", "turns/s at 16"): row(target, what, "per_second", "")
        for what in ("tokens/s at 64", "paced tokens/s"):
            row(target, what, "tokens_per_second", ""); row(target, what, "events_per_request", "")
    print(f"\nio: uring · durability: persisted (two fdatasync waits a turn) · {args.rounds} rounds, medians, lowest – highest · {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print(f"{'target':<10} {'what':<34} {'median':>14} {'lowest – highest':>26} {'beside the relay':>17}")
    for r in rows: print(f"{r[0]:<10} {r[1]:<34} {r[2]:>14} {r[3]:>26} {r[4]:>17}")
    direct = spread([r["p50_us"] / 1000 for r in cells[("direct", "latency")]])[0]; minimal = cells[("minimal", "latency")]
    bests = {"added p50": spread([r["p50_us"] / 1000 - direct for r in minimal]), "turns/s at 16": spread([r["per_second"] for r in cells[("minimal", "turns/s at 16")]]), "tokens/s at 64": spread([r["tokens_per_second"] for r in cells[("minimal", "tokens/s at 64")]]), "paced tokens/s": spread([r["tokens_per_second"] for r in cells[("minimal", "paced tokens/s")]]), "RSS": (rss,) * 3, "start": (node.start_ms,) * 3}
    print("\nminimal pack against its aims:")
    for name, (unit, bar, sense) in AIMS.items():
        median, low, high = bests[name]; ok = low <= bar if sense == "<=" else high >= bar
        print(f"{name:<34} {median:>12,.2f} {unit:<3} {sense} {bar:<8} {'pass' if ok else 'FAIL'}"); facts.append({"aim": name, "value": median, "bar": bar, "ok": ok})
    for (target, what), values in cpu.items():
        if what != "warm-up": print(f"CPU a turn, {target:<10} {what:<16} {statistics.median(values):>9,.0f} µs"); facts.append({"cpu_us": statistics.median(values), "target": target, "what": what})
    print(f"disk: {disk['fresh'] / 2**20:.1f} MiB fresh; a turn of 8 tokens leaves {disk['minimal'] / 1024:.1f} KiB (minimal), {disk['archivist'] / 1024:.1f} KiB (archivist)"); facts.append({"disk": disk})
    if args.json: Path(args.json).write_text("".join(json.dumps(f) + "\n" for f in facts))


if __name__ == "__main__": main()
