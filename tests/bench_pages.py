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
        lone = callgrind.each([PROGRAM, "list", 0], 20000)
        print(f"instructions of a pop and a push, one lock each, on a lone list: {lone:.0f}")
        print(f"of page_alloc and page_free together:{'':12}" + "".join(f"{'order ' + str(order):>12}" for order in ORDERS))
        for engine in ENGINES:
            counts = [callgrind.each([PROGRAM, engine, order], 2000) for order in ORDERS]
            print(f"  {engine:47}" + "".join(f"{count:12.0f}" for count in counts))
    print("threads, each a CPU with 16 pages at a time: ns a call, and calls for each time that a zone's lock was taken")
    for threads in (1, 2, 4, 8):
        rounds = 1600000
        result = subprocess.run([PROGRAM, "threads", str(threads), str(rounds)], capture_output=True, text=True)
        if result.returncode:
            sys.exit(result.stderr)
        ns, locks = result.stdout.split()
        print(f"  {threads} threads: {ns:>6} ns, {locks} acquisitions in {2 * rounds * threads} calls")


main()
