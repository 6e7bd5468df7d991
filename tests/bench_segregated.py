#!/usr/bin/env python3
"""make bench: instructions of each call into the segregated heap, mean and worst, by mm/host/bench_segregated.c."""

import pathlib
import subprocess
import sys

PROGRAM = pathlib.Path(__file__).resolve().parent.parent / "build/host/bench_segregated"
CALLS = ("alloc", "alloc aligned", "free", "resize")


def figures(calls):
    """{game: {call: (how many, mean, worst)}}; None: this system lets no process be traced."""
    result = subprocess.run([PROGRAM, str(calls)], capture_output=True, text=True)
    if result.returncode == 3:
        return None
    if result.returncode:
        sys.exit(f"{PROGRAM}: status {result.returncode}\n{result.stderr}")
    games = {}
    for line in result.stdout.splitlines():
        words = line[13:].split()
        games[line[:13].strip()] = {call: (int(words[3 * i]), float(words[3 * i + 1]), int(words[3 * i + 2]))
                                    for i, call in enumerate(CALLS)}
    return games


def main():
    games = figures(300)
    if games is None:
        print("the segregated heap's calls are not counted: this system lets no process be traced")
        return
    print(f"instructions of a call into the segregated heap, mean and worst:{'':6}" + "".join(f"{call:>16}" for call in CALLS))
    for game, calls in games.items():
        print(f"  {game:68}" + "".join(f"{mean:10.0f} {worst:5}" for _, mean, worst in calls.values()))


if __name__ == "__main__":
    main()
