"""A hart that the firmware sends to the kernel's first entry although another hart has booted: see kernel/boot/entry.S."""

import os
import subprocess
import tempfile
import time

from suite import TOP, Machine, expect_that, patience, test

# Stops the second hart at its proper entry and sets it to the first one, as OpenSBI's race does.
SCRIPT = """
set pagination off
target remote {stub}
hbreak *((unsigned long)entry_other - 0xffffffc000000000)
continue
set $pc = (unsigned long)&kernel_start - 0xffffffc000000000
set $a1 = 0
delete
detach
"""


@test()
def takes_the_others_way():
    gdb = subprocess.run(["sh", "tools/doctor", "--gdb"], cwd=TOP, capture_output=True, text=True).stdout.strip()
    with tempfile.TemporaryDirectory() as directory:
        stub, script = os.path.join(directory, "stub"), os.path.join(directory, "script")
        with open(script, "w") as file:
            file.write(SCRIPT.format(stub=stub))
        with Machine(smp=2, extra=["-S", "-gdb", f"unix:{stub},server=on,wait=off"]) as m:
            deadline = time.monotonic() + patience(30)
            while not os.path.exists(stub) and time.monotonic() < deadline:
                time.sleep(0.01)
            result = subprocess.run([gdb, "-q", "-batch", "build/kernel/quire.elf", "-x", script], cwd=TOP, stdin=subprocess.DEVNULL,
                                    capture_output=True, text=True, timeout=patience(60))
            expect_that("hit Breakpoint 1" in result.stdout, f"gdb did not catch the second hart:\n{result.stdout}{result.stderr}")
            m.boot()
            expect_that(m.text.count("Quire: ") == 1, f"the kernel booted twice; {m.tail()}")
            expect_that("hello" in m.sh("echo hello | cat"), m.tail())
