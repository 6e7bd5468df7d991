"""Counts the instructions of calls by stepping through them: gdb -batch quire.elf -x count.py, for make bench.

COUNT_STUB names QEMU's gdb socket, COUNT_CALLS the functions: `page_alloc:$a0 == 0` counts the calls for which the condition holds.
"""

import os

import gdb

CALLS = 15
LIMIT = 2000   # instructions; more than this is counted as this


def register(name):
    return int(gdb.parse_and_eval("$" + name)) & 0xFFFFFFFFFFFFFFFF


def instructions():
    """From a function's first instruction to its return."""
    back, stack = register("ra"), register("sp")
    for count in range(1, LIMIT):
        gdb.execute("stepi", to_string=True)
        if register("pc") == back and register("sp") == stack:
            return count
    return LIMIT


gdb.execute("set pagination off")
gdb.execute("target remote " + os.environ["COUNT_STUB"], to_string=True)
for call in os.environ["COUNT_CALLS"].split(","):
    function, _, condition = call.partition(":")
    breakpoint = gdb.Breakpoint(f"*&{function}")
    breakpoint.silent = True
    if condition:
        breakpoint.condition = condition
    counts = []
    while len(counts) < CALLS:
        gdb.execute("continue", to_string=True)
        counts.append(instructions())
    breakpoint.delete()
    most = f"{max(counts)}{' or more' if max(counts) == LIMIT else ''}"
    print(f"counted {function}: median {sorted(counts)[CALLS // 2]}, least {min(counts)}, most {most} instructions, of {CALLS} calls")
gdb.execute("detach")
