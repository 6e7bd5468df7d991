#!/usr/bin/env python3
"""Cuts the power at random moments during file work, and checks the disk each time.

    tests/power_loss.py [--cuts 50] [--seed N] [-j 2]

Each of the parallel chains has a disk of its own and goes round: boot; let the guest check what had been synced before the last cut;
start file work (tests/programs/filework.c); SIGKILL QEMU; fsck the image from outside. The moment of a cut counts from an event: some
number of completed syncs that the console has shown, and then up to 40 ms more, a little longer than a commit takes. The seed fixes
the work and the numbers, though not the host's timing; on a failure the image is kept.
"""

import argparse
import concurrent.futures
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from machine import TOP, Failure, Machine, make  # noqa: E402  (found beside this file)

SYNCED = re.compile(r"^synced (\d+) (\d+)\n", re.MULTILINE)


def build():
    """Builds what a cut needs; returns the paths of the tests' disk and of fsck."""
    make("build/tests.img", "kernel")
    fsck = os.path.join(TOP, "build/host/fsck")
    os.makedirs(os.path.dirname(fsck), exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(fsck), delete=False) as out:   # two tests may build it at once
        pass
    compiler = "gcc" if shutil.which("gcc") else "cc"
    subprocess.run([compiler, "-std=gnu11", "-O2", "-I", TOP, os.path.join(TOP, "tools/fsck.c"), "-o", out.name], check=True)
    os.replace(out.name, fsck)
    return os.path.join(TOP, "build/tests.img"), fsck


def check_synced(machine, seed, last):
    """Has the guest compare the last generation that each worker said to be synced."""
    run, generations = last
    for worker, generation in generations.items():
        said = machine.sh(f"filework check {seed} {run} {worker} {generation}")
        if said.strip() != "whole":
            raise Failure(f"worker {worker} had synced generation {generation}: {said.strip()}; {machine.tail()}")


def work_and_cut(machine, seed, run, chance):
    """Starts the work and cuts the power; returns the last generation that each worker had synced by then."""
    machine.type(f"filework run {seed} {run}\n")
    begin = machine.expect(r"^working\n").end()
    for _ in range(chance.randrange(5)):
        machine.expect(SYNCED.pattern)
    time.sleep(chance.uniform(0, 0.04))   # the random moment: anywhere in the work or in a commit
    machine.kill()
    return {int(worker): int(generation) for worker, generation in SYNCED.findall(machine.text, begin)}


def chain(seed, cuts, report):
    """One disk that goes through so many cuts. report(ok, text) is called for each; a failure ends the chain."""
    tests_image, fsck = build()
    chance = random.Random(seed)
    directory = tempfile.mkdtemp(prefix="quire-power-")
    image = os.path.join(directory, "fs.img")
    shutil.copyfile(tests_image, image)
    last = None
    for number in range(cuts + 1):   # the last boot only checks
        try:
            with Machine(smp=(1, 2, 4)[number % 3], append="quiet", image=image) as machine:
                machine.boot()
                if last:
                    check_synced(machine, seed, last)
                if number == cuts:
                    break
                last = (number, work_and_cut(machine, seed, number, chance))
            result = subprocess.run([fsck, image], capture_output=True, text=True)
            if result.returncode != 0:
                raise Failure(result.stdout + result.stderr)
            report(True, f"cut {number}: {result.stdout.strip().partition('whole: ')[2]}; synced: {last[1]}")
        except Failure as failure:
            report(False, f"cut {number}: {failure}\nthe image is {image}")
            return False
    shutil.rmtree(directory)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 10000))
    parser.add_argument("-j", type=int, default=2, metavar="CHAINS")
    options = parser.parse_args()
    results = []

    def report(chain_seed):
        def line(ok, text):
            results.append(ok)
            print(f"{'ok' if ok else 'not ok'} power loss, seed {chain_seed}, {text}", flush=True)
        return line

    seeds = [options.seed + i for i in range(options.j)]
    with concurrent.futures.ThreadPoolExecutor(options.j) as pool:
        list(pool.map(lambda seed: chain(seed, -(-options.cuts // options.j), report(seed)), seeds))
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    return 1 if not all(results) else 0


if __name__ == "__main__":
    sys.exit(main())
