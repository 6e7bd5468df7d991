"""What goes wrong in a program stays there, with one line that says what it did; and what the page tables look like from outside."""

import re

from suite import Machine, expect_that, test


@test()
def user_faults_say_what_happened():
    with Machine(smp=2) as m:
        m.boot()
        kinds = m.sh("fault").split()   # without an argument the program names its kinds
        expect_that(len(kinds) >= 4, f"fault names no kinds; {m.tail()}")
        for kind in kinds:
            lines = [line for line in m.sh(f"fault {kind}").splitlines() if re.match(r"fault\[\d+\]: ", line)]
            expect_that(len(lines) == 1 and re.search(r"pc 0x[0-9a-f]+.*killed", lines[0]), f"fault {kind}; {m.tail()}")
        expect_that("alive" in m.sh("echo alive"), m.tail())


def mappings(m):
    """What the monitor's `info mem` shows: (start, bytes, rights) of each run of pages."""
    for line in m.monitor("info mem").splitlines():
        match = re.match(r"([0-9a-f]{16}) [0-9a-f]{16} ([0-9a-f]{16}) ([-rwxugad]{7,8})", line)
        if match:
            yield int(match.group(1), 16), int(match.group(2), 16), match.group(3)


@test(cases=[(1, "128M"), (4, "1G")])
def page_tables_seen_from_outside(smp, memory):
    """Nothing is writable and executable, nothing of the kernel is the user's, a hole lies below every kernel stack."""
    with Machine(smp=smp, memory=memory) as m:
        m.boot()
        runs = list(mappings(m))
        kernel = [run for run in runs if run[0] >> 63]
        expect_that(len(kernel) > 3, f"info mem shows nothing of the kernel: {runs}")
        for start, size, rights in runs:
            expect_that(not ("w" in rights and "x" in rights), f"{start:#x}: {rights}: writable and executable")
        for start, size, rights in kernel:
            expect_that("u" not in rights, f"{start:#x}: {rights}: the kernel's, but user-accessible")
            expect_that("g" in rights, f"{start:#x}: {rights}: the kernel's, but not global")
        stacks = [int(word, 16) for word in re.findall(r"x2/sp\s+([0-9a-f]{16})", m.monitor("info registers -a"))]
        expect_that(len(stacks) == smp, f"info registers shows {len(stacks)} harts")
        for sp in stacks:
            low = sp
            while True:
                holding = [start for start, size, _ in kernel if start <= low < start + size]
                if not holding:
                    break
                low = holding[0] - 1
            expect_that(sp >> 63 and sp - low <= 64 * 1024, f"no guard page within 64 KiB below the stack at {sp:#x}")
