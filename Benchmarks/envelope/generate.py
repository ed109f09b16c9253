#!/usr/bin/env python3
"""Envelopes for the benchmark, by seed: `generate.py DIR [--seed N] [--count N]`.

Writes one file a cell, DIR/<bytes>-<where the payload stands>.txt: records of a 32-bit length (little
endian) and that many bytes, so that both sides read the same without parsing anything. Every
document has the fields of a journal record in an order of its own, some members that nobody looks
for, space as a compact or an indenting writer leaves it, and escapes in some texts.
"""
import argparse, json, random, struct
from pathlib import Path

SIZES = (300, 2048, 32768)
PLACES = ("first", "middle", "last")
WORDS = "the log keeps what it has acknowledged and a reader that comes later finds every record in order été 東京 🦊".split()
BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid(r): return r.choice("01234567") + "".join(r.choice(BASE32) for _ in range(25))


def text(r, size, escapes):
    out, length = [], 0
    while length < size:
        word = r.choice(WORDS)
        if escapes and r.random() < 0.15: word += r.choice(['"', "\\", "\n", "\t", "{", "]", '\\"', "}"])
        out.append(word); length += len(word) + 1
    return " ".join(out)[:max(0, size)]


def value(r, size, escapes):
    """A payload of about `size` bytes: texts, numbers, lists and objects inside each other."""
    payload = {"turn_id": ulid(r), "step": r.randrange(100), "ok": True, "cost": round(r.random(), 6), "none": None}
    if size < 160: payload = {"turn_id": ulid(r), "step": r.randrange(100)}
    items, used = [], len(json.dumps(payload))
    while used < size - 90:
        kind = r.random()
        if kind < 0.4: item = {"role": "user", "content": text(r, min(size - used - 60, r.randrange(20, 600)), escapes)}
        elif kind < 0.6: item = {"tool": "search", "arguments": json.dumps({"query": text(r, 40, escapes), "top": [1, 2, 3]})}
        elif kind < 0.8: item = [r.randrange(10**9) for _ in range(r.randrange(1, 12))]
        else: item = {"source": {"id": ulid(r), "score": r.random(), "span": [r.randrange(9999), r.randrange(9999)]}, "kept": r.random() < 0.5}
        used += len(json.dumps(item, ensure_ascii=False)) + 2
        items.append(item)
    if items: payload["items"] = items
    return payload


def document(r, size, place):
    escapes, indent = r.random() < 0.5, r.choice((None, None, 2))
    members = {"event_id": ulid(r), "type": r.choice(("TurnAccepted.v1", "StepFinished.v1", "TurnEnded.v1")), "spec_version": "1.0.0", "timestamp": f"2026-0{r.randrange(1, 10)}-1{r.randrange(10)}T12:34:56.{r.randrange(10**6):06}Z", "trace_id": f"{r.randrange(1 << 128):032x}"}
    # Half of the larger ones are records of the journal.
    if size > 300: members |= {"tenant_id": "default", "session_id": text(r, 24, escapes)}
    if size > 300 and r.random() < 0.5: members |= {"causation_id": ulid(r), "owner_epoch": r.randrange(1000), "owner_claim": f"{r.randrange(1 << 128):032x}", "in": {"requests": r.randrange(10**6), "control": r.randrange(100)}, "fold_version": 1}
    if r.random() < 0.25: members |= r.choice(({"attempt": 1}, {"traceparent": f"00-{r.randrange(1 << 128):032x}-{r.randrange(1 << 64):016x}-01"}, {"tags": ["a", "}"]}))
    names = list(members); r.shuffle(names)
    at = {"first": 0, "middle": len(names) // 2, "last": len(names)}[place]
    names.insert(at, "payload")
    def written(payload):
        whole = members | {"payload": payload}
        dumped = json.dumps({n: whole[n] for n in names}, ensure_ascii=r.random() < 0.2 and escapes, indent=indent, separators=(",", ":") if indent is None else None)
        return dumped.encode()
    # Indentation and escapes make it longer than planned: plan for less.
    around, wanted = len(written({})), size
    for _ in range(4):
        data = written(value(r, max(0, wanted - around), escapes))
        if abs(len(data) - size) <= size // 8: break
        wanted = max(around, int(wanted * size / len(data)))
    return data


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("directory", type=Path); ap.add_argument("--seed", type=int, default=1); ap.add_argument("--count", type=int, default=12)
    args = ap.parse_args()
    args.directory.mkdir(parents=True, exist_ok=True)
    for size in SIZES:
        for place in PLACES:
            r = random.Random(f"{args.seed} {size} {place}")
            documents = [document(r, size, place) for _ in range(args.count)]
            (args.directory / f"{size}-{place}.txt").write_bytes(b"".join(struct.pack("<I", len(d)) + d for d in documents))


if __name__ == "__main__": main()
