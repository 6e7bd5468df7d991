#!/usr/bin/env python3
"""make bench: instructions and time an operation, measured by the program `bench` inside the guest; and how long a boot takes.

Instruction counts come from QEMU's -icount (one hart, each instruction takes one nanosecond of the guest's time) and repeat exactly;
times come from a second run without it and compare only with other times of the same machine and hour.
"""

import sys
import time

from machine import Failure, Machine

ICOUNT = ["-icount", "shift=0"]


def main():
    try:
        for title, extra in (("instructions (-icount shift=0, one hart, 128 MiB)", ICOUNT), ("times (one hart, 128 MiB)", [])):
            with Machine(smp=1, memory="128M", extra=extra) as m:
                m.boot()
                print(f"--- {title}")
                print(m.sh("bench" if extra else "bench -t", 600))
        seconds = []
        for _ in range(5):
            start = time.monotonic()
            with Machine(smp=1, memory="128M") as m:
                m.boot()
                seconds.append(time.monotonic() - start)
        print(f"--- from starting QEMU to the shell's prompt: {sorted(seconds)[2] * 1000:.0f} ms (median of 5)")
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


sys.exit(main())
