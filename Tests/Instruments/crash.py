#!/usr/bin/env python3
"""Lives of a log that end by SIGKILL or by a power cut, judged by history.py.

  crash.py kill   --kfm PATH [--rounds N] [--seed S]
  crash.py power  --kfm PATH [--rounds N] [--seed S] [--lie]    on lossyfs; --lie: syncs do nothing
  crash.py serve  --kfm PATH [--rounds N] [--seed S]            `kfm serve` with turns, on lossyfs
  crash.py calls  --kfm PATH [--step N] [--seed S]              each N-th call of a life fails, in turn
  crash.py slow   --kfm PATH                                    a disk whose syncs take long
  crash.py sqlite [--rounds N] [--seed S] [--unsafe]            the control: SQLite on lossyfs

A life of `kill` and `power` is a `kfm bench append` with four producers on the same directory; one of
`serve` is a node that is asked questions. Prints rows `name value bar pass|FAIL`; exit code 1 when one fails, 77 when this machine has no FUSE.
"""
import argparse
import errno
import http.client
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid

import history
import lossy

PARTITIONS = 3
PRODUCERS = 4


class Rows:
    def __init__(self):
        self.failed = False

    def row(self, name, value, bar, passes):
        self.failed |= not passes
        print(f"{name} {value} {bar} {'pass' if passes else 'FAIL'}", flush=True)

    def zero(self, name, value):
        self.row(name, value, "0", value == 0)


class Lives:
    """The log under test, and all that was ever said about it."""

    def __init__(self, options, folder, data, rng):
        self.kfm, self.folder, self.data, self.rng = options.kfm, folder, data, rng
        self.seed = rng.randrange(1 << 30)
        self.lives = 0
        # Message bytes, messages a batch, batches in flight, segment bytes; None: anything.
        self.shape = None
        self.more = ["--io", options.io, "--durability", options.durability]
        self.boot = None
        self.files = {"acks": [], "seen": [], "stored": []}

    def start(self, batches=1 << 30):
        """A life; its lines are on another file system than its log."""
        message, most = self.rng.choice([(100, 1), (1024, 16), (4096, 16), (65536, 1)])
        shape = self.shape or (message, self.rng.randint(1, most), self.rng.choice([1, 1, 2, 8]),
                               self.rng.choice([65536, 1 << 20, 16 << 20]))
        command = [self.kfm, "bench", "append", "--dir", self.data, "--producers", str(PRODUCERS),
                   "--partitions", str(PARTITIONS), "--message-bytes", str(shape[0]),
                   "--batch-bytes", str(shape[0] * shape[1]), "--inflight", str(shape[2]),
                   "--batches", str(batches), "--seed", str(self.seed),
                   "--segment-bytes", str(shape[3]),
                   "--compression", self.rng.choice(["none", "zstd"])] + self.more
        for kind, paths in self.files.items():
            paths.append(os.path.join(self.folder, f"{kind}.{self.lives}"))
            command += [f"--{kind}", paths[-1]]
        self.errors = os.path.join(self.folder, f"errors.{self.lives}")
        self.lives += 1
        if self.boot:
            command = ["unshare", "-m", "sh", "-c",
                       'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"',
                       self.boot] + command
        with open(self.errors, "wb") as errors:
            return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)

    def is_heard(self):
        """Whether the life that began last has acknowledged anything."""
        path = self.files["acks"][-1]
        return os.path.exists(path) and os.path.getsize(path) > 0

    def boot_anew(self):
        """What starts from now on finds another boot id: the power was gone."""
        self.boot = os.path.join(self.folder, f"boot.{self.lives}")
        with open(self.boot, "w", encoding="ascii") as file:
            file.write(f"{uuid.UUID(int=self.rng.getrandbits(128))}\n")

    def said(self):
        with open(self.errors, encoding="utf-8", errors="replace") as errors:
            return errors.read().strip()

    def data_is_there(self):
        """Not before its catalog is durable."""
        return os.path.exists(os.path.join(self.data, "log", "catalog.json"))

    def judge(self):
        """What history.py counts now."""
        tail = subprocess.Popen(
            [self.kfm, "topics", "tail", "bench", "--offline", "--data-dir", self.data, "--json"],
            stdout=subprocess.PIPE)
        command = [sys.executable, os.path.join(lossy.HERE, "history.py"), "--seed", str(self.seed)]
        for kind, paths in self.files.items():
            command += ["--" + kind] + [path for path in paths if os.path.exists(path)]
        result = subprocess.run(command, stdin=tail.stdout, capture_output=True, check=False)
        if tail.wait() != 0 or not result.stdout:
            return None
        return json.loads(result.stdout)


class Totals:
    """Of several logs."""

    def __init__(self):
        self.counts = dict.fromkeys(history.BAD, 0)
        self.acknowledgements = self.messages = self.stored = 0
        self.unreadable = self.unstarted = 0
        self.examples = []

    def add(self, verdict):
        if verdict is None:
            self.unreadable += 1
            return
        for kind in history.BAD:
            self.counts[kind] += verdict[kind]
        self.acknowledgements += verdict["acknowledgements"]
        self.messages += verdict["messages"]
        self.stored += verdict["stored"]
        self.examples += verdict["examples"]

    def unstarted_because(self, text):
        self.unstarted += 1
        self.examples.append("not started: " + text)

    def print(self, rows, prefix, lives, allowed=()):
        """`allowed` may happen: what is promised is less."""
        names = {"lost": "acknowledged_lost", "twice": "offsets_minted_twice", "gaps": "gaps",
                 "duplicates": "duplicates", "disorder": "disorder", "content": "content_wrong",
                 "unseen": "seen_lost", "rewound": "stored_offset_backwards"}
        rows.row(f"{prefix}_lives", lives, ">0", lives > 0)
        rows.row(f"{prefix}_acknowledgements", self.acknowledgements, f">={lives}",
                 self.acknowledgements >= lives)
        rows.row(f"{prefix}_stored_offsets", self.stored, ">0", self.stored > 0)
        for kind, name in names.items():
            if kind not in allowed:
                rows.zero(f"{prefix}_{name}", self.counts[kind])
        rows.zero(f"{prefix}_unreadable", self.unreadable)
        rows.zero(f"{prefix}_not_started", self.unstarted)
        for example in self.examples[:20]:
            print("  " + example, file=sys.stderr)


def end(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def kill_rounds(options, rows):
    rng = random.Random(options.seed)
    totals = Totals()
    left, heard = options.rounds, 0
    while left > 0:
        with tempfile.TemporaryDirectory(prefix="kfm-kill-", dir=options.folder) as folder:
            lives = Lives(options, folder, os.path.join(folder, "data"), rng)
            # A log of its own for some lives, so that it does not grow without end.
            for life in range(min(left, 25)):
                process = lives.start()
                # From before its first system call to well into its work, however slow the machine.
                until = time.monotonic() + (20 if life % 5 < 3 else 0)
                while time.monotonic() < until and not lives.is_heard() and process.poll() is None:
                    time.sleep(0.002)
                time.sleep(rng.uniform(0, rng.choice([0.05, 0.2, 0.4])))
                if process.poll() is not None:
                    totals.unstarted_because(lives.said())
                end(process)
                heard += lives.is_heard()
                left -= 1
                if rng.random() < 0.08 and lives.data_is_there():
                    verdict = lives.judge()
                    if verdict and any(verdict[kind] for kind in history.BAD):
                        totals.add(verdict)
            process = lives.start(batches=50)
            if process.wait() != 0:
                totals.unstarted_because(lives.said())
            totals.add(lives.judge())
    totals.print(rows, "kill", options.rounds)
    rows.row("kill_lives_that_acknowledged", heard, f">={options.rounds // 2}",
             heard >= options.rounds // 2)


def power_rounds(options, rows):
    rng = random.Random(options.seed)
    totals = Totals()
    left = options.rounds
    work = tempfile.mkdtemp(prefix="kfm-power-", dir=options.folder)
    try:
        while left > 0:
            lives_of_disk = min(left, 12)
            left -= lives_of_disk
            with tempfile.TemporaryDirectory(dir=work) as folder:
                disk = lossy.LossyDisk(work)
                try:
                    power_lives(options, rng, disk, folder, totals, lives_of_disk)
                finally:
                    disk.close()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    # What the kernel has is not what the disk has; offsets still are not given twice.
    weaker = ("lost", "unseen", "gaps") if options.durability == "replicated" else ()
    totals.print(rows, "power", options.rounds, weaker)


def power_lives(options, rng, disk, folder, totals, count):
    lives = Lives(options, folder, os.path.join(disk.path, "data"), rng)
    disk.ask("direct", rng.randrange(2))
    disk.ask("allocate", rng.randrange(2))
    if options.durability == "replicated":
        lives.boot_anew()
    if options.lie:
        # From when there is a log: one that cannot even be made shows nothing.
        lives.start(batches=5).wait()
        disk.ask("liesync", 1)
    for _ in range(count):
        # From the first change of a start on.
        disk.ask("after", int(2 ** rng.uniform(0, 10)))
        process = lives.start()
        deadline = time.monotonic() + rng.choice([0.3, 0.8, 2])
        while process.poll() is None and time.monotonic() < deadline and not disk.ask("dead"):
            time.sleep(0.005)
        if process.poll() is not None and not disk.ask("dead"):
            totals.unstarted_because(lives.said())
        # Sometimes it lives on a little with a disk that is gone.
        time.sleep(rng.choice([0, 0, 0.05]))
        end(process)
        # A kill alone: the next life works on what the page cache shows, and that may be lost yet.
        if not disk.ask("dead") and rng.random() < 0.25:
            continue
        disk.ask("cut", rng.randrange(1 << 60))
        if options.durability == "replicated":
            lives.boot_anew()
        # Reading it makes the journal durable: not always.
        if rng.random() < 0.2 and lives.data_is_there():
            verdict = lives.judge()
            if verdict and any(verdict[kind] for kind in history.BAD):
                totals.add(verdict)
    # After a kill alone the power is still to go: not any more.
    disk.ask("after", 1 << 40)
    process = lives.start(batches=50)
    if process.wait() != 0:
        totals.unstarted_because(lives.said())
    totals.add(lives.judge())


KINDS = (("eio", errno.EIO), ("enospc", errno.ENOSPC), ("eintr", errno.EINTR), ("short", 0))


def call_rounds(options, rows):
    """The n-th change or sync of a fixed life fails, for every n; the power goes afterwards."""
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="kfm-calls-", dir=options.folder) as work:
        for name, code in KINDS:
            totals, call, happened = Totals(), 1 + rng.randrange(options.step), 0
            while True:
                disk = lossy.LossyDisk(work)
                try:
                    failed = call_life(options, rng, disk, work, totals, call, code)
                finally:
                    disk.close()
                happened += failed
                if not failed or call > 3000:
                    break
                call += options.step
            rows.row(f"calls_{name}_failed", happened, ">=10", happened >= 10)
            rows.zero(f"calls_{name}_acknowledged_lost", totals.counts["lost"])
            bad = sum(totals.counts.values()) - totals.counts["lost"]
            rows.zero(f"calls_{name}_otherwise_wrong", bad + totals.unreadable)
            rows.zero(f"calls_{name}_not_started", totals.unstarted)
            for example in totals.examples[:10]:
                print("  " + example, file=sys.stderr)


def call_life(options, rng, disk, work, totals, call, code):
    """Returns whether the life was long enough for the call to fail."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        lives = Lives(options, folder, os.path.join(disk.path, "data"), rng)
        lives.shape = (1024, 16, 2, 65536)
        disk.ask("failure", code)
        disk.ask("failcall", call)
        process = lives.start(batches=120)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            totals.unstarted_because(f"call {call}: it neither ended nor gave up")
            end(process)
        disk.ask("failcall", 0)
        failed = disk.ask("failed") > 0
        disk.ask("cut", rng.randrange(1 << 60))
        process = lives.start(batches=20)
        if process.wait() != 0:
            totals.unstarted_because(f"call {call}: {lives.said()}")
        totals.add(lives.judge())
        return failed


class Node:
    """`kfm serve` on the lossy disk, with the provider that echoes."""

    CONFIG = """config_version = 1
[node]
data_dir = "{data}"
[http]
listen = "127.0.0.1:0"
[packs]
dir = "{packs}"
default = "minimal"
[[providers]]
name = "scripted"
kind = "scripted"
models = ["scripted"]
"""

    def __init__(self, kfm, folder, data, packs):
        self.kfm, self.config = kfm, os.path.join(folder, "config.toml")
        self.log = os.path.join(folder, "serve.log")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(self.CONFIG.format(data=data, packs=packs))

    def start(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([self.kfm, "serve", "--config", self.config], stderr=log,
                                            cwd=os.path.dirname(self.config))

    def address(self):
        """Where it listens; None when it has not said so yet."""
        with open(self.log, encoding="utf-8", errors="replace") as log:
            for line in log:
                if '"listening"' in line:
                    return json.loads(line)["address"]
        return None

    def ask(self, method, path, body=None):
        """Status and JSON; status 0 when it is not there."""
        host, port = self.address().rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=5)
        try:
            connection.request(method, path, None if body is None else json.dumps(body),
                               {"content-type": "application/json"})
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read() or b"null")
        except (OSError, http.client.HTTPException, ValueError):
            return 0, None
        finally:
            connection.close()


ENDED = ("completed", "failed", "cancelled", "merged")


class Turns:
    """What clients were told, and what became of it."""

    def __init__(self):
        self.accepted = {}
        self.ended = {}
        self.lost = self.changed = self.unfinished = self.unstarted = 0
        self.examples = []

    def work(self, node, disk, rng, until):
        """Asks until the power is gone, and looks at what was asked before."""
        number = 0
        while time.monotonic() < until and not disk.ask("dead"):
            message = f"{rng.randrange(1 << 40)} " + "x" * rng.choice([1, 100, 5000])
            status, reply = node.ask("POST", "/v1/turns", {
                "user_message": message, "session_id": f"s{rng.randrange(6)}"})
            if status == 202:
                self.accepted[reply["turn_id"]] = message
            number += 1
            if number % 4 == 0 and self.accepted:
                self.look(node, rng.choice(list(self.accepted)))

    def look(self, node, turn):
        status, reply = node.ask("GET", f"/v1/turns/{turn}")
        if status == 404:
            self.lost += 1
            self.examples.append(f"lost: {turn}")
        if status != 200 or reply["status"] not in ENDED:
            return False
        end = (reply["status"], reply.get("answer"))
        if self.ended.setdefault(turn, end) != end:
            self.changed += 1
            self.examples.append(f"changed: {turn}")
        return True

    def settle(self, node):
        """Everything that was accepted has one end, and the one that was shown."""
        until = time.monotonic() + 30
        for turn in self.accepted:
            while not self.look(node, turn):
                if time.monotonic() > until:
                    self.unfinished += 1
                    self.examples.append(f"unfinished: {turn}")
                    break
                time.sleep(0.02)


def serve_rounds(options, rows):
    rng = random.Random(options.seed)
    turns = Turns()
    accepted = 0
    packs = os.path.join(os.path.dirname(os.path.dirname(lossy.HERE)), "personalities")
    with tempfile.TemporaryDirectory(prefix="kfm-serve-", dir=options.folder) as work:
        for left in range(options.rounds, 0, -6):
            disk = lossy.LossyDisk(work)
            try:
                node = Node(options.kfm, work, os.path.join(disk.path, "data"), packs)
                for life in range(min(left, 6)):
                    serve_life(node, disk, rng, turns, life % 2 == 0)
                if start_node(node, disk, turns):
                    turns.settle(node)
                end(node.process)
            finally:
                disk.close()
            accepted += len(turns.accepted)
            turns.accepted, turns.ended = {}, {}
    rows.row("serve_lives", options.rounds, ">0", options.rounds > 0)
    rows.row("serve_turns_accepted", accepted, f">={options.rounds}", accepted >= options.rounds)
    rows.zero("serve_turns_lost", turns.lost)
    rows.zero("serve_terminals_changed", turns.changed)
    rows.zero("serve_turns_unfinished", turns.unfinished)
    rows.zero("serve_not_started", turns.unstarted)
    for example in turns.examples[:20]:
        print("  " + example, file=sys.stderr)


def start_node(node, disk, turns):
    """Whether it came to listen; an end before the power went is its own fault."""
    node.start()
    until = time.monotonic() + 30
    while node.address() is None and time.monotonic() < until and not disk.ask("dead"):
        if node.process.poll() is not None:
            break
        time.sleep(0.01)
    if node.address() is None and not disk.ask("dead"):
        turns.unstarted += 1
        with open(node.log, encoding="utf-8", errors="replace") as log:
            turns.examples.append("not started: " + log.read()[-400:])
    return node.address() is not None


def serve_life(node, disk, rng, turns, is_long):
    """A long one is past its start when the power goes; others end anywhere."""
    disk.ask("after", int(2 ** rng.uniform(9 if is_long else 0, 11 if is_long else 10)))
    if start_node(node, disk, turns):
        turns.work(node, disk, rng, time.monotonic() + rng.choice([0.5, 1.5]))
    end(node.process)
    disk.ask("cut", rng.randrange(1 << 60))


def peak(process):
    """Resident bytes at most so far."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return 0


def slow_rounds(options, rows):
    """A disk whose sync takes 50 ms, and once 5 s."""
    packs = os.path.join(os.path.dirname(os.path.dirname(lossy.HERE)), "personalities")
    with tempfile.TemporaryDirectory(prefix="kfm-slow-", dir=options.folder) as work:
        disk = lossy.LossyDisk(work)
        try:
            shared_commits(options, rows, disk)
            node = Node(options.kfm, work, os.path.join(disk.path, "data"), packs)
            node.start()
            while node.address() is None and node.process.poll() is None:
                time.sleep(0.01)
            _, reply = node.ask("POST", "/v1/turns", {"user_message": "x"})
            before = peak(node.process)
            for name, delay, seconds in (("none", 0, 5), ("50ms", 50_000, 10), ("5s", 5_000_000, 8)):
                disk.ask("delay", delay)
                beside(node, rows, name, seconds, reply["turn_id"])
            disk.ask("delay", 0)
            growth = peak(node.process) - before
            rows.row("slow_sync_node_rss_growth_bytes", growth, "<=33554432", growth <= 32 << 20)
            end(node.process)
        finally:
            disk.close()


def shared_commits(options, rows, disk):
    """64 producers of single messages: whatever waits shares the next sync."""
    disk.ask("delay", 50_000)
    result = subprocess.run(
        [options.kfm, "bench", "append", "--dir", os.path.join(disk.path, "bench"), "--producers",
         "64", "--partitions", "16", "--batch-bytes", "100", "--batches", "6400", "--json"],
        capture_output=True, check=False)
    report = json.loads(result.stdout or b'{"batches": 0, "fdatasyncs": 1}')
    shared = report["batches"] / max(1, report["fdatasyncs"])
    rows.row("slow_sync_acknowledgements_per_sync", round(shared, 1), ">=45", shared >= 45)


def beside(node, rows, name, seconds, turn):
    """How long reads take while turns wait for the disk. Those who post are processes of their own:
    threads would wait for each other here, and that would be measured."""
    until = time.monotonic() + seconds
    times = []

    def post():
        while time.monotonic() < until:
            node.ask("POST", "/v1/turns", {"user_message": "x"})

    posters = [multiprocessing.get_context("fork").Process(target=post) for _ in range(4)]
    for poster in posters:
        poster.start()
    host, port = node.address().rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    while time.monotonic() < until:
        for path in ["/health/live", f"/v1/turns/{turn}"]:
            began = time.perf_counter()
            connection.request("GET", path)
            connection.getresponse().read()
            times.append(time.perf_counter() - began)
        time.sleep(0.002)
    for poster in posters:
        poster.join()
    times.sort()
    p99 = times[len(times) * 99 // 100] * 1000
    rows.row(f"slow_sync_{name}_reads", len(times), ">=100", len(times) >= 100)
    # Without a delay: what this machine makes of it now.
    bar = "reported" if name == "none" else "<=5"
    rows.row(f"slow_sync_{name}_reads_p99_ms", round(p99, 2), bar, p99 <= 5 or name == "none")


SQLITE = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode=" + sys.argv[3])
db.execute("PRAGMA synchronous=" + sys.argv[4])
db.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, bytes BLOB)")
n = db.execute("SELECT coalesce(max(n), 0) FROM t").fetchone()[0]
with open(sys.argv[2], "ab", buffering=0) as acks:
    while True:
        n += 1
        db.execute("INSERT INTO t VALUES (?, ?)", (n, bytes([n % 256]) * (n * 37 % 9000)))
        acks.write(b"%d\\n" % n)
"""


def sqlite_rounds(options, rows):
    import sqlite3
    rng = random.Random(options.seed)
    lost = damaged = acknowledged = 0
    with tempfile.TemporaryDirectory(prefix="kfm-sqlite-", dir=options.folder) as work:
        for left in range(options.rounds, 0, -8):
            disk = lossy.LossyDisk(work)
            try:
                path, acks = os.path.join(disk.path, "db"), os.path.join(work, f"acks.{left}")
                mode = rng.choice(["DELETE", "WAL", "TRUNCATE"])
                # FULL does not sync the directory after a journal is deleted: the last transaction
                # may be rolled back by the journal that came back.
                safe = "EXTRA" if mode == "DELETE" else "FULL"
                for life in range(min(left, 8)):
                    # The first is past its start when the power goes; others end anywhere.
                    disk.ask("after", int(2 ** rng.uniform(0 if life else 10, 11)))
                    process = subprocess.Popen(
                        [sys.executable, "-c", SQLITE, path, acks, mode,
                         "OFF" if options.unsafe else safe], stderr=subprocess.DEVNULL)
                    deadline = time.monotonic() + (1 if life else 20)
                    while process.poll() is None and time.monotonic() < deadline:
                        time.sleep(0.005)
                    end(process)
                    disk.ask("cut", rng.randrange(1 << 60))
                said = []
                if os.path.exists(acks):
                    with open(acks, "rb") as file:
                        said = [int(line) for line in file if line.endswith(b"\n")]
                acknowledged += len(said)
                try:
                    db = sqlite3.connect(path)
                    there = {row[0] for row in db.execute("SELECT n FROM t")}
                    damaged += db.execute("PRAGMA integrity_check").fetchone()[0] != "ok"
                    db.close()
                except sqlite3.DatabaseError:
                    there = set()
                    damaged += bool(said)
                lost += sum(n not in there for n in set(said))
            finally:
                disk.close()
    rows.row("sqlite_acknowledgements", acknowledged, f">={options.rounds}",
             acknowledged >= options.rounds)
    rows.zero("sqlite_acknowledged_lost", lost)
    rows.zero("sqlite_damaged", damaged)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["kill", "power", "serve", "calls", "slow", "sqlite"])
    parser.add_argument("--kfm", type=os.path.abspath)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--folder", help="for temporary files, on a disk that syncs")
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--io", default="auto", help="the loop's way: auto, uring or epoll")
    parser.add_argument("--durability", default="persisted")
    parser.add_argument("--lie", action="store_true")
    parser.add_argument("--unsafe", action="store_true")
    options = parser.parse_args()
    if options.what != "kill" and (why := lossy.missing()):
        print(f"{options.what} skipped: {why}")
        return 77
    print(f"seed {options.seed}", flush=True)
    rows = Rows()
    {"kill": kill_rounds, "power": power_rounds, "serve": serve_rounds, "calls": call_rounds,
     "slow": slow_rounds, "sqlite": sqlite_rounds}[options.what](options, rows)
    return 1 if rows.failed else 0


if __name__ == "__main__":
    sys.exit(main())
