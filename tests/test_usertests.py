"""usertests inside the guest: all of them on small and large machines, quick runs under every engine, heap and sanitizer."""

import re

from suite import HEAPS, Machine, expect_that, test

DONE = r"^(?:.*\b(\d+) passed, (\d+) failed.*)$"


def run_usertests(m, arguments="", seconds=600):
    m.boot()
    start = len(m.text)
    m.type(f"usertests {arguments}\n".replace(" \n", "\n"))
    match = m.expect(DONE, seconds)
    failures = re.findall(r"^test \w+ +(?:(?!^test ).*\n)*?(?:test \w+ +)?FAILED.*$", m.text[start:], re.M)
    expect_that(match.group(2) == "0" and int(match.group(1)) > 0, "\n".join([match.group(0), *failures]))
    m.prompt()


@test(weight=120, cases=[(1, "64M"), (4, "64M"), (1, "1G"), (4, "1G")])
def all_of_them(smp, memory):
    with Machine(smp=smp, memory=memory) as m:
        run_usertests(m)


@test(weight=60, cases=["pages=bitmap", "pages=stack", "asids=0"] + [f"heap={name}" for name in HEAPS if name not in ("slab", "bump")])
def quick_ones_with(argument):
    with Machine(smp=2, append=argument) as m:
        run_usertests(m, "-q")


@test(weight=90, cases=[("SAN=address", 1), ("SAN=undefined", 4), ("CHECK=2", 2)])
def quick_ones_in_a_kernel_built_with(variant, smp):
    with Machine(smp=smp, memory="256M", variant=(variant,)) as m:
        run_usertests(m, "-q", 900)


# What makes processes, memory and files meet, and does not last long where each access is looked at.
MEETING = ("cow_counts cow_generations exit_races kill_each_state many_children orphans kill_waiting pipe_many_writers pipe_whole_writes "
           "pipe_primes mmap_shared_file mmap_with_fork append_race create_race shared_descriptor malloc_patterns sbrk_basics ps_tells")


@test(weight=40, cases=[(1, ""), (2, "heap=segregated pages=bitmap"), (4, ""), (4, "heap=first_fit pages=stack asids=0")])
def nothing_races(smp, argument):
    """A kernel built with SAN=thread panics at the first two accesses that nothing orders."""
    with Machine(smp=smp, memory="512M", variant=("SAN=thread",), append=argument) as m:
        run_usertests(m, MEETING)


@test()
def one_by_name():
    with Machine() as m:
        m.boot()
        names = re.findall(r"^\s*(\w+)", m.sh("usertests -l"), re.M)
        expect_that(len(names) > 30, f"usertests -l names only {len(names)}; {m.tail()}")
        shown = m.sh(f"usertests {names[0]}")
        expect_that(re.search(r"\b1 passed, 0 failed", shown), m.tail())
