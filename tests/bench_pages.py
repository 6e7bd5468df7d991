#!/usr/bin/env python3
"""make bench: instructions of a page's way in and out, by engine and order, beside a list's pop and push; locks that threads take."""

import pathlib
import shutil
import subprocess
import sys

import callgrind
from suite import ENGINES

PROGRAM = pathlib.Path(__file__).resolve().parent.parent / "build/host/bench_page"
ORDERS = (0, 3, 9)


def main():
    if shutil.which("valgrind"):
        print(f"instructions of a block taken and given back:{'':4}" + "".join(f"{'order ' + str(order):>12}" for order in ORDERS))
        rows = {"a lone list: a pop, a push": [callgrind.each([PROGRAM, "list", 0], 20000)] * len(ORDERS),
                "the same, halving, and marks of each page": [callgrind.each([PROGRAM, "need", order], 2000) for order in ORDERS]}
        for engine in ENGINES:
            rows[engine] = [callgrind.each([PROGRAM, engine, order], 2000) for order in ORDERS]
        for name, counts in rows.items():
            print(f"  {name:47}" + "".join(f"{count:12.0f}" for count in counts))
        least, buddy = list(rows.values())[1], rows["buddy"]
        print(f"  {'buddy, over list, halving and marks':47}" + "".join(f"{ours / theirs:12.2f}" for ours, theirs in zip(buddy, least)))
    print("threads, each a CPU with 16 pages at a time: ns a call, and calls for each time that a zone's lock was taken")
    for threads in (1, 2, 4, 8):
        rounds = 1600000
        result = subprocess.run([PROGRAM, "threads", str(threads), str(rounds)], capture_output=True, text=True)
        if result.returncode:
            sys.exit(result.stderr)
        ns, locks = result.stdout.split()
        print(f"  {threads} threads: {ns:>6} ns, {locks} acquisitions in {2 * rounds * threads} calls")


main()
