#!/usr/bin/env python3
"""Runs libFuzzer targets one after the other for a bounded time each; what one finds is kept in build/fuzz/ with the way to repeat it.

    tests/fuzz.py --seconds 30 build/fuzz/fuzz_page ...
"""

import argparse
import os
import subprocess
import sys

parser = argparse.ArgumentParser()
parser.add_argument("--seconds", type=int, default=30)
parser.add_argument("targets", nargs="+")
options = parser.parse_args()
failed = 0
for target in options.targets:
    name = os.path.basename(target)
    corpus = f"build/fuzz/corpus/{name}"
    os.makedirs(corpus, exist_ok=True)
    result = subprocess.run([target, f"-max_total_time={options.seconds}", f"-artifact_prefix=build/fuzz/{name}-", "-timeout=60",
                             "-rss_limit_mb=4096", "-print_final_stats=1", corpus], capture_output=True, text=True, errors="replace")
    runs = [line.split()[-1] for line in result.stderr.splitlines() if "number_of_executed_units" in line]
    if result.returncode == 0:
        print(f"ok     {name}: {runs[0] if runs else '?'} inputs in {options.seconds} s")
    else:
        failed += 1
        print("\n".join(result.stderr.splitlines()[-60:]))
        print(f"not ok {name}: run {target} with the file named above to repeat it")
sys.exit(1 if failed else 0)
