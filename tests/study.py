#!/usr/bin/env python3
"""make study: what each heap costs, in tables and plots: build/study/index.html shows all of it, study.md and study.json have the figures.

    tests/study.py [--small] [--out FOLDER]

The program build/host/study (mm/host/study.c) measures; which heaps there are it says itself. Instructions are counted by callgrind and
repeat exactly, memory does as well; times are multiples of the host's malloc in the same run. --small is for the tests: as many files,
much shorter runs.
"""

import argparse
import concurrent.futures
import csv
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import study_pages
import study_plots

TOP = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = TOP / "build/host/study"
AMOUNTS = {"memory": (40000, 2000), "cost": (8192, 64), "time": (25, 1), "adversaries": (1024, 256)}   # usual, small


def rows_of(command):
    """What a program prints as comma-separated values, with numbers as numbers."""
    result = subprocess.run([str(word) for word in command], cwd=TOP, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stdout}{result.stderr}")
    def number(text):
        return float(text) if re.fullmatch(r"\d+\.\d+", text) else int(text) if text.isdigit() else text
    return [{key: number(value) for key, value in row.items()} for row in csv.DictReader(io.StringIO(result.stdout))]


def measure(study, heap, small):
    return rows_of([PROGRAM, study, heap, AMOUNTS[study][small]])


def count(heap, small):
    """Instructions a call: callgrind writes a file for each run of study_measured, in the order of the program's lines."""
    with tempfile.TemporaryDirectory(prefix="quire-") as folder:
        counts = pathlib.Path(folder, "counts")
        rows = rows_of(["valgrind", "-q", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=study_measured",
                        "--dump-after=study_measured", f"--callgrind-out-file={counts}", PROGRAM, "cost", heap, AMOUNTS["cost"][small]])
        for number, row in enumerate(rows, 1):
            total = re.search(r"^totals: (\d+)$", pathlib.Path(f"{counts}.{number}").read_text(encoding="utf-8"), re.M)
            row["instructions"] = int(total.group(1)) / row["calls"]
    return rows


def collect(small):
    """{study: {heap: rows}}, two heaps at a time, but one alone where time is measured."""
    heaps = subprocess.run([PROGRAM, "heaps"], capture_output=True, text=True, check=True).stdout.split()
    studies = {"memory": lambda heap: measure("memory", heap, small), "cost": lambda heap: count(heap, small),
               "adversaries": lambda heap: measure("adversaries", heap, small)}
    data = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, study in studies.items():
            print(f"study: {name}", flush=True)
            data[name] = dict(zip(heaps, pool.map(study, heaps)))
    print("study: time", flush=True)
    data["time"] = {heap: measure("time", heap, small) for heap in heaps}
    return data


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--out", type=pathlib.Path, default=TOP / "build/study")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    data = collect(options.small)
    (options.out / "study.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    study_plots.draw(data, options.out)
    study_pages.write(data, options.out)
    print(f"study: {os.path.relpath(options.out / 'index.html')} shows all of it")


main()
