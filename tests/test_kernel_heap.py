"""The kernel's heap seen from the shell: who asked for what is in use, a limit on it, a leak, and its own trace asked again on the host."""

import os
import pathlib
import re
import subprocess
import tempfile

from suite import HEAPS, TOP, Machine, expect_that, test

CHECKED = {"variant": ("CHECK=1",), "memory": "256M"}


@test(weight=20)
def heap_names_those_who_asked():
    with Machine(smp=2, **CHECKED) as m:
        m.boot()
        shown = m.sh("heap")
        places = re.findall(r"^ +(\d+) +(\d+) (\w+)\+0x[0-9a-f]+$", shown, re.M)
        total = re.search(r"^heap slab: .* in (\d+) blocks", shown, re.M)
        expect_that(total and {"buffer_init", "area_add"} <= {name for _, _, name in places}, f"no such places; {m.tail()}")
        expect_that(sum(int(blocks) for _, blocks, _ in places) == int(total.group(1)), f"not all blocks have a place; {m.tail()}")
        m.type("\x14")
        m.expect(r"^ +\d+ bytes in \d+ blocks: buffer_init\+0x")
    with Machine() as m:   # without CHECK=1 nobody is known
        m.boot()
        expect_that("CHECK=0" in m.sh("heap") and "nothing is traced" in m.sh("heap trace"), m.tail())


@test(weight=20)
def lost_blocks_are_named():
    """usertests in a kernel that loses blocks: the test fails, and the place is named."""
    with Machine(smp=2, append="crash=leak", **CHECKED) as m:
        m.boot()
        shown = m.sh("usertests sleeping", 120)
        lost = r"blocks of the kernel's heap are lost:\n +\d+ bytes more than before, asked for by leak\+0x"
        expect_that(re.search(lost, shown), m.tail())
        expect_that("0 passed, 1 failed" in shown, m.tail())


def used_at_the_prompt(append, variant):
    """Bytes of the kernel's heap that are charged when the shell waits."""
    with Machine(smp=2, append=f"{append} quota=1000000000", variant=variant) as m:
        m.boot()
        m.type("\x14")
        return int(m.expect(r"quota: (\d+) of 1000000000 bytes used").group(1))


@test(weight=20, cases=[("heap=slab", "CHECK=0"), ("heap=first_fit", "CHECK=1"), ("heap=guard_pages", "CHECK=0")])
def beyond_its_quota_the_kernel_refuses(append, variant):
    """Calls that need more than the heap may have fail, nothing panics, and what is given back can be had again."""
    quota = used_at_the_prompt(append, (variant,)) + 8000
    with Machine(smp=2, append=f"{append} quota={quota}", variant=(variant,)) as m:
        m.boot()
        for _ in range(3):
            shown = m.sh("hungry")
            expect_that(shown.split() == "mmap: refused fork: refused exec: refused pipe: works afterwards: works".split(), m.tail())
        m.type("\x14")
        match = m.expect(r"quota: (\d+) of (\d+) bytes used, (\d+) at most; (\d+) calls were refused")
        m.prompt()
        used, limit, peak, refused = map(int, match.groups())
        expect_that(used <= peak <= limit == quota and peak > quota - 1000 and refused >= 9, m.tail())
        expect_that("1 passed, 0 failed" in m.sh("usertests -q fork_copies", 120), m.tail())


@test(weight=30)
def its_trace_is_asked_again_of_every_heap():
    """The kernel's own calls, from the first one on, as the shell's `heap trace` shows them, replayed on the host."""
    with tempfile.TemporaryDirectory(prefix="quire-") as folder:
        program, trace = os.path.join(folder, "replay"), os.path.join(folder, "trace")
        sources = [str(p) for p in pathlib.Path(TOP, "mm").glob("*.c")]
        sources += [os.path.join(TOP, "mm/host", name) for name in ("bench_replay.c", "trace_file.c", "port.c", "barrier.c")]
        built = subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", *sources, "-o", program],
                               capture_output=True, text=True)
        expect_that(built.returncode == 0, built.stderr)
        with Machine(smp=2, append="trace=100000") as m:
            m.boot()
            shown = m.sh("usertests fork_copies heap_trace_goes_on orphans exec_keeps_descriptors", 120)
            expect_that("4 passed, 0 failed" in shown, m.tail())
            text = m.sh("heap trace", 300)
        expect_that(re.search(r"^1 \d+ alloc \d+ 16 [0-9a-f]+ buffer_init\+0x", text, re.M) and "area_add+0x" in text, text[:500])
        pathlib.Path(trace).write_text(text)
        result = subprocess.run([program, trace], capture_output=True, text=True)
        expect_that(result.returncode == 0, result.stdout + result.stderr)
        first = re.match(r"(\d+) events; (\d+) calls, (\d+) blocks; 0 events about blocks older", result.stdout)
        expect_that(first and int(first.group(1)) > 500, f"a thin trace: {result.stdout}")
        refused = dict(re.findall(r"^(\w+) +(\d+) refused", result.stdout, re.M))
        expect_that(refused == dict.fromkeys(HEAPS, "0"), result.stdout)


@test(weight=10)
def every_heap_works_in_a_program():
    """All but the one that needs a page table of its own."""
    with Machine() as m:
        m.boot()
        shown = dict(line.split(": ") for line in m.sh("heaps", 120).splitlines())
        expect_that(shown == {heap: "a program has no such heap" if heap == "guard_pages" else "ok" for heap in HEAPS}, m.tail())
