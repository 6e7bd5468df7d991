"""From power-on to the prompt, on every size of machine, and what boot arguments change."""

import re
import time

from suite import ENGINES, HEAPS, Machine, expect_that, patience, test


@test(weight=5, cases=[(1, "64M"), (2, "128M"), (4, "1G"), (8, "8G"), (1, "8G"), (8, "64M"), (3, "515M")])
def to_the_prompt(smp, memory):
    """All harts and nearly all memory are in use, at no more than 16 bytes of records a page."""
    megabytes = int(memory[:-1]) * (1024 if memory.endswith("G") else 1)
    with Machine(smp=smp, memory=memory) as m:
        m.boot()
        harts = re.search(r"^harts: (\d+)", m.text, re.M)
        expect_that(harts and int(harts.group(1)) == smp, f"expected {smp} harts; {m.tail()}")
        pages = re.search(r"memory: (\d+) MiB of RAM, (\d+) pages managed", m.text)
        expect_that(pages and int(pages.group(1)) == megabytes and int(pages.group(2)) * 4096 > 0.97 * (megabytes << 20), m.tail())
        metadata = re.search(r"([\d.]+) bytes of metadata a page", m.text)
        expect_that(metadata and float(metadata.group(1)) <= 16, f"records of more than 16 bytes a page; {m.tail()}")
        expect_that("hello" in m.sh("echo hello | cat"), m.tail())


@test(cases=[("pages", name) for name in ENGINES] + [("heap", name) for name in HEAPS])
def allocator(argument, name):
    with Machine(append=f"{argument}={name}") as m:
        m.boot()
        expect_that(re.search(rf"^{argument}: {name}\b", m.text, re.M), f"{argument}={name} is not in use; {m.tail()}")
        expect_that(name in m.sh("meminfo"), f"meminfo does not name {name}; {m.tail()}")
        expect_that("hello" in m.sh("echo hello | cat"), m.tail())


@test(cases=HEAPS)
def address_sanitizer_knows_whose_memory_it_is(name):
    """An allocator writes into blocks that are dead to all others: Makefile's ALLOCATORS has to name its files."""
    with Machine(variant=("SAN=address",), append=f"heap={name}") as m:
        m.boot()
        expect_that("hello" in m.sh("echo hello | cat"), m.tail())


@test()
def unknown_boot_argument_is_reported():
    with Machine(append="wibble=3 quiet wobble") as m:
        m.boot()
        expect_that("wibble" in m.text and "wobble" in m.text, f"unknown arguments are not reported; {m.tail()}")


@test(cases=["heap=wibble", "pages=wibble"])
def unknown_allocator_is_reported(argument):
    """The name is reported, and either the default serves or the machine says why it stops: never silence."""
    with Machine(append=argument) as m:
        m.panic_is_expected = True
        m.expect("wibble")


@test()
def quiet_prints_nothing_before_the_prompt():
    with Machine(append="quiet") as m:
        m.boot()
        own = m.text.split("Boot HART MEDELEG", 1)[-1].split("\n", 1)[-1].strip()   # behind the firmware's own lines
        expect_that(own in ("$", "init: starting sh\n$"), f"quiet, but the console shows:\n{own}")


@test(cases=[("rv64,sstc=off",), ("rv64,svadu=off",)])
def without_an_extension(cpu):
    import subprocess
    known = subprocess.run(["qemu-system-riscv64", "-machine", "virt", "-cpu", cpu, "-S", "-display", "none", "-serial", "none",
                            "-monitor", "stdio"], input="quit\n", capture_output=True, text=True)
    if known.returncode:
        return   # this QEMU has no such switch
    with Machine(smp=2, extra=["-cpu", cpu]) as m:
        m.boot()
        expect_that("hello" in m.sh("echo hello | cat"), m.tail())


@test(cases=[0, 3])
def few_address_space_numbers(count):
    """No ASIDs at all, and so few that they wrap around all the time."""
    with Machine(smp=4, append=f"asids={count}") as m:
        m.boot()
        for _ in range(5):
            expect_that("hello" in m.sh("echo hello | cat | cat | cat | cat"), m.tail())


@test()
def missing_first_program():
    """Says so, and takes the usual one."""
    with Machine(smp=4, append="init=/missing") as m:
        m.expect("/missing")
        m.prompt()
        expect_that("hello" in m.sh("echo hello"), m.tail())


@test()
def other_first_program():
    with Machine(append="init=/shutdown") as m:
        expect_that(m.ended() == 0 and "$ " not in m.text, m.tail())


@test()
def panic_stops_all_harts():
    """Without panic=off the machine stays as it is, so that its report can be read: no hart moves, and no key does anything."""
    def places():
        return re.findall(r"^ pc +(\w+)", m.monitor("info registers -a"), re.M)
    with Machine(smp=4, append="crash=null") as m:
        m.panic_is_expected = True
        m.expect("^panic: ")
        m.expect("^halted")
        m.type("echo hello\n\x10")
        before, deadline = places(), time.monotonic() + patience(30)
        while (now := places()) != before or len(now) != 4:
            expect_that(time.monotonic() < deadline, f"harts still run: {before}, {now}")
            before = now
        expect_that(m.text.rstrip().splitlines()[-1].startswith("halted"), m.tail())


WORDS = {   # what the panic says of each crash, in words
    "null": r"fault on a load .* 0x0: a null pointer",
    "stack": r"kernel stack overflow",
    "text": r"fault on a store .* the kernel's text",
    "data": r"fault fetching an instruction .* not executable",
    "user": r"fault on a load .* 0x10000: a user address",
    "lock": r'lock "crash" is taken twice',
    "unlock": r'lock "crash" is released by .* does not hold it',
    "page": r"page_free: the page is free already",
}


def crash(kind, words, caller, append="", **machine):
    with Machine(append=f"panic=off crash={kind} {append}".strip(), **machine) as m:
        m.panic_is_expected = True
        m.expect(words)
        m.expect(rf"^  ffffffc0[0-9a-f]{{8}} {caller}\+0x[0-9a-f]+$")
        m.ended()


@test(cases=list(WORDS))
def kernel_bug_is_explained(kind):
    crash(kind, "^panic: .*" + WORDS[kind], "run", smp=4)


@test(cases=[("overflow", "store"), ("freed", "load")])
def guarded_pages_fault_at_the_instruction(kind, access):
    crash(kind, rf"^panic: .*fault on a {access} .*a guard page, or a block that was freed", kind, append="heap=guard_pages")


@test(weight=60, cases=[("address", "overflow"), ("address", "freed"), ("address", "global"), ("undefined", "shift")])
def sanitizer_finds(sanitizer, kind):
    words = {"address": r"address sanitizer: (read|write) of \d+ bytes? at", "undefined": r"^panic: .*shift"}[sanitizer]
    crash(kind, words, f"(?:{kind}|run)", memory="256M", variant=(f"SAN={sanitizer}",))


def without_order(smp, kind, variant=("SAN=thread",)):
    """What the console shows of crash=race or crash=locked, down to the panic."""
    with Machine(smp=smp, memory="256M", append=f"panic=off crash={kind}", variant=variant) as m:
        m.panic_is_expected = True
        m.ended()
        return m.text.replace("\r", "")


@test(weight=30, cases=[2, 4])
def race_is_reported_with_both_places(smp):
    """Though it does no harm: the two writes come one after the other."""
    text = without_order(smp, "race")
    found = re.search(r"thread sanitizer: a write of 8 bytes at (\w+) by CPU (\d),\n"
                      r"which nothing orders after a write of 8 bytes at (\w+) by CPU (\d), called from:\n"
                      r"(?:  \w+ \w+\+\w+\n)*  \w+ write_first\+.*\n(?:  \w+ \w+\+\w+\n)+\n"
                      r"panic: thread sanitizer: a race on \1\n(?:.*\n)+?  \w+ write_second\+", text)
    expect_that(found and found.group(1) == found.group(3) and found.group(2) != found.group(4), text[-3000:])


@test(cases=[("locked", "SAN=thread"), ("race", "CHECK=0")])
def what_is_no_race_or_not_watched_does_no_harm(kind, variant):
    text = without_order(4, kind, (variant,))
    expect_that(f"panic: crash={kind} did no harm" in text and "sanitizer: a " not in text, text[-3000:])


@test(cases=[1, 4])
def shutdown(smp):
    with Machine(smp=smp) as m:
        m.boot()
        m.type("shutdown\n")
        expect_that(m.ended() == 0, m.tail())


@test()
def reboot():
    with Machine(smp=2) as m:
        m.boot()
        m.type("reboot\n")
        m.expect("OpenSBI", 60)
        m.prompt()
        expect_that("hello" in m.sh("echo hello"), m.tail())
