#!/usr/bin/env python3
"""make bench: instructions and time an operation, measured by the program `bench` inside the guest; how long a boot takes, and how long
a student waits for make check and make grade.

Instruction counts come from QEMU's -icount (one hart, each instruction takes one nanosecond of the guest's time) and repeat exactly;
times come from a second run without it and compare only with other times of the same machine and hour.
"""

import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

from machine import TOP, Failure, Machine, patience

RECORD = "((struct page *)(page_state.window.records + (($a0 - page_state.window.start) >> 12) * sizeof(struct page)))"
CALLS = ("page_alloc:$a0 == 0 && ($a1 & 1) == 0", f"page_free:{RECORD}->extra == 0 && {RECORD}->order == 0", "kmem_cache_alloc",
         "kmem_cache_free", "kmalloc_from", "kfree:$a0 != 0", "lock_acquire", "lock_release")
ICOUNT = ["-icount", "shift=0"]


def look_up():
    """Instructions of kmalloc itself (mm/heap.h), which is inline, at the caller that usertests keeps busy: half an address, a load."""
    prefix = subprocess.run(["sh", "tools/doctor", "--prefix"], cwd=TOP, capture_output=True, text=True).stdout.strip()
    code = subprocess.run([prefix + "objdump", "-d", "--no-show-raw-insn", "--disassemble=area_add", "build/kernel/quire.elf"], cwd=TOP,
                          capture_output=True, text=True, check=True).stdout
    if not re.search(r"auipc\t(\w+),.*\n(?:.*\n){0,4}?.*\tlhu\t\w+,-?\d+\(\1\) # \w+ <kmalloc_stock\+", code):
        raise Failure("kmalloc looks a size up in other ways than by two instructions: count them anew in\n" + code)
    return 2


def count_calls():
    """Pages, objects and kmalloc, counted instruction by instruction while usertests runs: one page, no zeroing."""
    gdb = subprocess.run(["sh", "tools/doctor", "--gdb"], cwd=TOP, capture_output=True, text=True).stdout.strip()
    if not gdb:
        return "no gdb: calls inside the kernel are not counted"
    with tempfile.TemporaryDirectory(prefix="quire-") as directory:
        stub = os.path.join(directory, "stub")
        with Machine(smp=1, extra=["-gdb", f"unix:{stub},server=on,wait=off"]) as m:
            m.boot()
            m.type("usertests -q\n")
            environment = dict(os.environ, COUNT_STUB=stub, COUNT_CALLS=",".join(CALLS))
            result = subprocess.run([gdb, "-q", "-batch", "build/kernel/quire.elf", "-x", "tools/gdb/count.py"], cwd=TOP, env=environment,
                                    stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=patience(120))
    lines = [line for line in result.stdout.splitlines() if line.startswith("counted ")]
    if not lines:
        raise Failure(result.stdout + result.stderr)
    median = {function: int(count) for function, count in re.findall(r"counted (\w+): median (\d+)", "\n".join(lines))}
    pair = median["kmalloc_from"] + look_up() + median["kfree"]
    page, lock = median["page_alloc"] + median["page_free"], median["lock_acquire"] + median["lock_release"]
    return "\n".join([*lines, f"kmalloc of a size that the compiler knows ({look_up()} at its caller) and kfree: {pair} (goal: 45)",
                      f"a page of order 0 and back: {page}; a list's pop and push of 3 instructions each, under a lock: {2 * lock + 6}"])


def lab_times():
    """For each lab, solved: wall and processor seconds of make check and make grade, the second time (the first compiles for all labs)."""
    for folder in sorted(pathlib.Path(TOP, "labs").glob("[0-9][0-9]-*")):
        number = folder.name[:2]
        with tempfile.TemporaryDirectory(prefix="quire-") as directory:
            tree = os.path.join(directory, "work")
            subprocess.run(["make", "-s", "lab", f"LAB={number}", f"DIR={tree}"], cwd=TOP, check=True, stdout=subprocess.DEVNULL)
            for path in pathlib.Path(TOP, "mm").glob("*.[ch]"):
                shutil.copy(path, os.path.join(tree, "mm"))
            for command in ("check", "grade"):
                for _ in range(2):
                    start, cpu = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
                    subprocess.run(["make", "-s", command], cwd=tree, check=True, stdout=subprocess.DEVNULL)
                    wall, now = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
                burnt = now.ru_utime + now.ru_stime - cpu.ru_utime - cpu.ru_stime
                print(f"lab {number} make {command}: {wall:5.1f} s, {burnt:5.1f} s of processor time")


def main():
    try:
        for title, extra in (("instructions (-icount shift=0, one hart, 128 MiB)", ICOUNT), ("times (one hart, 128 MiB)", [])):
            with Machine(smp=1, memory="128M", extra=extra) as m:
                m.boot()
                print(f"--- {title}")
                print(m.sh("bench" if extra else "bench -t", 600))
        print("--- calls inside the kernel")
        print(count_calls())
        seconds = []
        for _ in range(5):
            start = time.monotonic()
            with Machine(smp=1, memory="128M") as m:
                m.boot()
                seconds.append(time.monotonic() - start)
        print(f"--- from starting QEMU to the shell's prompt: {sorted(seconds)[2] * 1000:.0f} ms (median of 5)")
        print("--- how long a student waits")
        lab_times()
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


sys.exit(main())
