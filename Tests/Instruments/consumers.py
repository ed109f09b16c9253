#!/usr/bin/env python3
"""A consumer that takes ten messages a second beside twenty thousand that are appended.

  consumers.py --kfm PATH [--seconds N] [--folder DIR]

Runs `kfm bench slow-consumer`, alone in its process, and prints rows `name value bar pass|FAIL`; exit
code 1 when one fails.
"""
import argparse
import json
import subprocess
import sys
import tempfile


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kfm", required=True)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--folder", help="for the log, on a disk that syncs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kfm-consumers-", dir=options.folder) as folder:
        command = [options.kfm, "bench", "slow-consumer", "--dir", folder, "--json", "--seconds",
                   str(options.seconds)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    failed = 0

    def row(name, value, bar, passes):
        nonlocal failed
        failed += not passes
        print(f"slow_consumer_{name} {value} {bar} {'pass' if passes else 'FAIL'}", flush=True)

    row("rate", found["rate"], ">=15000", found["rate"] >= 15_000)
    least = options.seconds * 8
    row("taken", found["slow_taken"], f">={least}", found["slow_taken"] >= least)
    row("disorder", found["disorder"], "0", found["disorder"] == 0)
    growth = found["rss_growth_bytes"]
    row("rss_growth_bytes", growth, "<=16777216", growth <= 16 << 20)
    ratio = found["healthy_p99_us"] / max(1, found["alone_p99_us"])
    row("healthy_p99_us", found["healthy_p99_us"], "reported", True)
    row("healthy_p99_over_alone", round(ratio, 2), "reported(<=1.2_on_a_quiet_machine)", True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
