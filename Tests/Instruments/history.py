#!/usr/bin/env python3
"""Judges what a log kept against what its producers were told; shares no code with the log.

  kfm topics tail bench --offline --data-dir D --json |
      history.py --seed S --acks FILE... [--seen FILE...] [--stored FILE...]

Standard input is the log as it is now: `{topic, partition, offset, data_base64}` a line. --acks,
--seen and --stored are what `kfm bench append` wrote in all lives of the log, oldest first; a last
line without an end was cut off by a kill and counts for nothing.

Prints one JSON object of counts; all that are listed in BAD must be 0. Exit code 1 when not.

  lost          acknowledged messages that are not at their offset
  twice         offsets that were acknowledged for two different messages
  gaps          offsets that are missing between the first and the last one of a partition
  duplicates    messages that the log holds more than once
  disorder      messages behind a later one of the same producer in the same partition
  content       messages whose bytes are not what producer, sequence and seed make of them
  unseen        records that a reader was handed and that are not there
  rewound       consumer offsets that were stored and found lower in a later life
"""
import argparse
import base64
import json
import struct
import sys

MASK = (1 << 64) - 1
STEP = 0x9E3779B97F4A7C15
BAD = ("lost", "twice", "gaps", "duplicates", "disorder", "content", "unseen", "rewound")


def mix(value):
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


class Words:
    """`count` words h + i * STEP, all at once: even and odd lanes apart, so that no carry gets from
    one word into the next."""

    def __init__(self, count):
        self.length = count * 8
        ramp = int.from_bytes(b"".join(struct.pack("<Q", i * STEP & MASK) for i in range(count)), "little")
        lanes = (count + 1) // 2
        self.even = sum(MASK << (128 * i) for i in range(lanes)) if lanes < 64 else int.from_bytes(
            (b"\xff" * 8 + b"\0" * 8) * lanes, "little")
        self.ones = int.from_bytes((b"\1" + b"\0" * 15) * lanes, "little")
        self.low = ramp & self.even
        self.high = (ramp >> 64) & self.even

    def bytes(self, start):
        add = self.ones * start
        low = (self.low + add) & self.even
        high = (self.high + add) & self.even
        both = low | high << 64
        return (both & ((1 << (8 * self.length)) - 1)).to_bytes(self.length, "little")


class Content:
    """The bytes a message must have."""

    def __init__(self, seed):
        self.seed = mix(seed)
        self.words = {}

    def expected(self, producer, sequence, length):
        count = (length - 16 + 7) // 8
        words = self.words.get(count)
        if words is None:
            words = self.words[count] = Words(count)
        start = mix(mix(self.seed ^ producer) ^ sequence)
        return (struct.pack("<QQ", producer, sequence) + words.bytes(start))[:length]


def whole_lines(path):
    with open(path, "rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)


class History:
    def __init__(self, seed):
        self.counts = dict.fromkeys(BAD, 0)
        self.examples = []
        self.content = Content(seed)
        self.log = {}
        self.first = {}
        self.acked = {}
        self.acknowledgements = 0

    def bad(self, kind, text):
        self.counts[kind] += 1
        if len(self.examples) < 20:
            self.examples.append(f"{kind}: {text}")

    def read_log(self, lines):
        """What the log holds now."""
        latest, places = {}, {}
        for line in lines:
            row = json.loads(line)
            partition, offset = row["partition"], row["offset"]
            data = base64.b64decode(row["data_base64"])
            producer, sequence = struct.unpack_from("<QQ", data)
            if data != self.content.expected(producer, sequence, len(data)):
                self.bad("content", f"partition {partition} offset {offset}")
            rows = self.log.setdefault(partition, [])
            first = self.first.setdefault(partition, offset)
            if offset != first + len(rows):
                self.bad("gaps", f"partition {partition}: {first + len(rows)} before {offset}")
                rows.extend([None] * max(0, offset - first - len(rows)))
            rows.append((producer, sequence))
            if (producer, sequence) in places:
                self.bad("duplicates", f"{(producer, sequence)} at {places[(producer, sequence)]} "
                                       f"and {(partition, offset)}")
            places[(producer, sequence)] = (partition, offset)
            key = (partition, producer)
            if latest.get(key, -1) >= sequence:
                self.bad("disorder", f"{key}: {sequence} after {latest[key]}")
            latest[key] = max(sequence, latest.get(key, -1))

    def at(self, partition, offset):
        index = offset - self.first.get(partition, 0)
        rows = self.log.get(partition, [])
        return rows[index] if 0 <= index < len(rows) else None

    def retained(self, partition, offset):
        return offset >= self.first.get(partition, 0)

    def read_acks(self, path):
        for row in whole_lines(path):
            if "offset" not in row or "producer" not in row:
                continue
            self.acknowledgements += 1
            partition = row["partition"]
            for index in range(row["count"]):
                offset = row["offset"] + index
                message = (row["producer"], row["seq"] + index)
                before = self.acked.setdefault((partition, offset), message)
                if before != message:
                    self.bad("twice", f"partition {partition} offset {offset}: {before}, {message}")
                if self.retained(partition, offset) and self.at(partition, offset) != message:
                    self.bad("lost", f"partition {partition} offset {offset}: {message} was "
                                     f"acknowledged, {self.at(partition, offset)} is there")

    def read_seen(self, path):
        for row in whole_lines(path):
            if "count" not in row or "producer" in row:
                continue
            for offset in range(row["offset"], row["offset"] + row["count"]):
                if self.retained(row["partition"], offset) and not self.at(row["partition"], offset):
                    self.bad("unseen", f"partition {row['partition']} offset {offset} was handed out")

    def read_stored(self, paths):
        stored = {}
        for path in paths:
            for row in whole_lines(path):
                partition, offset = row["partition"], row["offset"]
                if offset < stored.get(partition, -1):
                    self.bad("rewound", f"partition {partition}: {offset} after {stored[partition]}")
                stored[partition] = max(offset, stored.get(partition, -1))
        return sum(offset + 1 for offset in stored.values())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    for name in ("acks", "seen", "stored"):
        parser.add_argument("--" + name, nargs="*", default=[])
    options = parser.parse_args()
    history = History(options.seed)
    history.read_log(sys.stdin.buffer)
    for path in options.acks:
        history.read_acks(path)
    for path in options.seen:
        history.read_seen(path)
    stored = history.read_stored(options.stored)
    result = dict(history.counts)
    result["acknowledgements"] = history.acknowledgements
    result["messages"] = sum(len(rows) for rows in history.log.values())
    result["stored"] = stored
    result["examples"] = history.examples
    print(json.dumps(result))
    return 1 if any(history.counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
