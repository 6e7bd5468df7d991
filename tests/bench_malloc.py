#!/usr/bin/env python3
"""make bench, second half: the slab heap as a program's malloc (build/host/libquire.so) beside the allocators that people use.

    tests/bench_malloc.py [--rounds N] [--operations N] [--times-only] [--out FOLDER]

Five workloads (mm/host/bench_malloc.c), each with every allocator that is installed: processor time an operation (a malloc or a free), as
the least of several rounds in which the allocators take turns; instructions an operation, by callgrind, with the workload's own loop; and
memory overhead: the most that was resident above what a program has before its first allocation, over the most that was in use at a time.
A table is printed; FOLDER (build/bench) gets malloc.json and malloc.svg.
"""

import argparse
import glob
import json
import os
import pathlib
import shutil
import subprocess
import sys

import callgrind

TOP = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = TOP / "build/host/bench_malloc"
OURS = "quire"
WORKLOADS = {
    "pairs": "64-byte pairs",
    "random": "16 to 1024 bytes, 10,000 live",
    "kernel": "a kernel's mix, 20,000 live",
    "threads": "two threads free each other's",
    "growth": "growth to 64 MiB and release",
}
OTHERS = {   # name: where it is, Debian's package
    "glibc": (None, "libc6"),
    "mimalloc": ("libmimalloc.so.2*", "libmimalloc2.0"),
    "jemalloc": ("libjemalloc.so.2", "libjemalloc2"),
    "tcmalloc": ("libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
}


def installed():
    """{name: library to preload, or "" for the C library's own}; says what is not there."""
    found = {}
    for name, (pattern, package) in OTHERS.items():
        paths = [""] if pattern is None else sorted(path for folder in ("/usr/lib/*-linux-gnu", "/usr/lib", "/usr/lib64", "/usr/local/lib")
                                                    for path in glob.glob(f"{folder}/{pattern}"))
        if paths:
            found[name] = paths[0]
        else:
            print(f"bench: {name} is not installed (Debian: {package}), so it is not compared")
    found[OURS] = str(TOP / "build/host/libquire.so")
    return found


def run(library, workload, operations):
    result = subprocess.run([PROGRAM, workload, str(operations)], env={**os.environ, "LD_PRELOAD": library}, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"bench_malloc {workload} with {library or 'the C library'}: status {result.returncode}\n{result.stderr}")
    return result.stdout


def measure(allocators, rounds, operations, counted):
    """{workload: {allocator: {"ns", "instructions", "overhead", "kib"}}}"""
    results = {}
    for workload in WORKLOADS:
        runs = {name: [] for name in allocators}
        for number in range(rounds):
            for name, library in allocators.items():   # in turns, so that what disturbs one disturbs all
                show(f"{workload}: round {number + 1} of {rounds}, {name}")
                runs[name].append([float(word) for word in run(library, workload, operations).split()])
        empty = min(line[1] for lines in runs.values() for line in lines)   # KiB, before any allocator has begun
        results[workload] = {}
        for name, library in allocators.items():
            kib, live = min(line[2] - empty for line in runs[name]), runs[name][0][3]
            show(f"{workload}: instructions, {name}")
            count = callgrind.each([PROGRAM, workload], 400000, {**os.environ, "LD_PRELOAD": library}) if counted else None
            results[workload][name] = {"ns": min(line[0] for line in runs[name]), "kib": kib, "overhead": kib / live if live else None,
                                       "instructions": count}
    show("")
    return results


def show(text):
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def table(results):
    lines = []
    for workload, title in WORKLOADS.items():
        rows = results[workload]
        fastest = min(row["ns"] for name, row in rows.items() if name != OURS)
        lines.append(f"{title}\n  {'':10}{'ns':>8}{'of fastest':>12}{'instructions':>14}{'memory':>16}")
        for name, row in rows.items():
            count = f"{row['instructions']:.0f}" if row["instructions"] else "-"
            memory = f"{row['overhead']:.3f} x live" if row["overhead"] else f"{row['kib']:.0f} KiB"
            lines.append(f"  {name:10}{row['ns']:8.2f}{row['ns'] / fastest:12.2f}{count:>14}{memory:>16}")
    return "\n".join([*lines, *verdicts(results)])


def verdicts(results):
    """How far the goals are reached: the fastest in three of five, never above 1.15 times it, the least memory in three."""
    ratios, least = {}, 0
    for workload, rows in results.items():
        others = [row for name, row in rows.items() if name != OURS]
        ratios[workload] = rows[OURS]["ns"] / min(row["ns"] for row in others)
        least += rows[OURS]["kib"] <= min(row["kib"] for row in others)
    return [f"{OURS}: at most the fastest's time in {sum(ratio <= 1 for ratio in ratios.values())} of {len(ratios)} (goal: 3), "
            f"at most 1.15 times that in {sum(ratio <= 1.15 for ratio in ratios.values())} (goal: all), least memory in {least} (goal: 3)"]


def plot(results, out):
    try:
        import matplotlib
    except ImportError:
        print("bench: no plot, since this python3 has no matplotlib (Debian: python3-matplotlib)")
        return
    matplotlib.use("svg")
    from matplotlib import pyplot
    matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "quire"})
    figure, axes = pyplot.subplots(3, len(results), figsize=(13, 7), sharex=True, layout="constrained", squeeze=False)
    figure.suptitle("One malloc or free: Quire's slab heap (blue) beside other allocators", x=0.01, ha="left", fontsize=13,
                    fontweight="bold")
    rows = (("ns", "nanoseconds"), ("instructions", "instructions"), ("overhead", "resident / in use"))
    for column, (workload, values) in enumerate(results.items()):
        axes[0][column].set_title(WORKLOADS[workload], fontsize=9, loc="left", fontweight="bold")
        for axis, (key, label) in zip((row[column] for row in axes), rows):
            heights = [value[key] or 0 for value in values.values()]
            axis.tick_params(axis="x", rotation=35)
            if column == 0:
                axis.set_ylabel(label)
            if not any(heights):   # memory, where one block is in use; instructions, where there is no valgrind
                axis.text(0.5, 0.5, "one block is in use" if key == "overhead" else "not counted", transform=axis.transAxes, ha="center",
                          color="#666666")
                axis.set_yticks([])
                axis.spines["left"].set_visible(False)
                continue
            bars = axis.bar(list(values), heights, color=["#0072B2" if name == OURS else "#C4C4C4" for name in values])
            axis.bar_label(bars, [f"{height:.2f}" if key == "overhead" else f"{height:.0f}" if height >= 10 else f"{height:.1f}"
                                  for height in heights], fontsize=8)
    figure.savefig(out / "malloc.svg", metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--operations", type=int, default=4000000)
    parser.add_argument("--times-only", action="store_true", help="count no instructions")
    parser.add_argument("--out", type=pathlib.Path, default=TOP / "build/bench")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    counted = not options.times_only and shutil.which("valgrind")
    results = measure(installed(), options.rounds, options.operations, counted)
    (options.out / "malloc.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table(results))
    plot(results, options.out)
    print(f"bench: {os.path.relpath(options.out)}/ has malloc.json and malloc.svg")


main()
