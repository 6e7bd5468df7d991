"""The shell as a person meets it: typed at the console."""

import re
import time

from suite import Failure, Machine, expect_that, patience, test

UP, DOWN, LEFT = "\x1b[A", "\x1b[B", "\x1b[D"


def session(lines):
    with Machine(smp=2) as m:
        m.boot()
        for line, wanted in lines:
            shown = m.sh(line)
            expect_that(shown.strip("\n") == wanted, f"{line}\nprinted {shown!r}, expected {wanted!r}; {m.tail()}")


@test()
def pipes_redirection_lists():
    session([
        ("echo one two", "one two"),
        ("echo b > f; echo a >> f; cat f", "b\na"),
        ("sort f", "a\nb"),
        ("sort < f | head -1", "a"),
        ("cat f | grep a", "a"),
        ("(echo x; echo y) | sort | cat", "x\ny"),
        ("echo first; echo second", "first\nsecond"),
        ("mkdir d; cd d; echo in > g; cat ../d/g; cd ..", "in"),
        ("rm d/g; rm d; rm f; echo done", "done"),
    ])


@test()
def quoting():
    session([
        ("echo 'a  b'", "a  b"),
        ('echo "a | b > c; d"', "a | b > c; d"),
        ("echo 'it'\"'\"'s'", "it's"),
        ('echo a"b c"d', "ab cd"),
        (r"echo a\ \ b", "a  b"),
    ])


@test()
def errors_are_reported_and_survived():
    with Machine() as m:
        m.boot()
        for line, word in (("nosuchprogram", "nosuchprogram"), ("cat nosuchfile", "nosuchfile"), ("echo 'open", ""), ("| |", ""),
                           ("cat < nosuchfile", "nosuchfile"), ("cd nosuchdir", "nosuchdir")):
            expect_that(word in m.sh(line), f"{line}: no word of {word}; {m.tail()}")
        expect_that("alive" in m.sh("echo alive"), m.tail())


def running(m, name, seconds=60):
    """Waits until ^P, typed again and again, shows so many programs of this name; returns the last one's number."""
    deadline = time.monotonic() + patience(seconds)
    while time.monotonic() < deadline:
        m.type("\x10")
        m.expect(r"\binit$")
        listing = m.expect(r"(?:^ .*\n)*^(?! )")
        found = re.findall(rf"^ +(\d+) .* {name}$", listing.group(0), re.M)
        if found:
            return found[-1]
    raise Failure(f"{name} never runs; {m.tail()}")


def appears(m, name, seconds=60):
    """Waits at the prompt until ps lists a background program."""
    deadline = time.monotonic() + patience(seconds)
    while name not in processes(m):
        if time.monotonic() > deadline:
            raise Failure(f"{name} never runs; {m.tail()}")


def processes(m):
    """What ps lists: name and pid."""
    return {name: pid for pid, name in re.findall(r"^ +(\d+) .* (\S+)$", m.sh("ps"), re.M)}


@test()
def background():
    with Machine(smp=2) as m:
        m.boot()
        m.sh("sleep 600 &")
        appears(m, "sleep")
        m.sh(f"kill {processes(m)['sleep']}")
        for _ in range(100):
            if "sleep" not in processes(m):
                return
        raise Failure(f"kill does not end it; {m.tail()}")


@test()
def history_by_arrow_keys():
    with Machine() as m:
        m.boot()
        m.sh("echo first")
        m.sh("echo second")
        m.type(UP + UP + "\n")
        expect_that("\nfirst\n" in m.prompt(), f"two lines up; {m.tail()}")
        m.type(UP + UP + UP + DOWN + "\n")
        expect_that("\nsecond\n" in m.prompt(), f"three up, one down; {m.tail()}")
        m.type("echo bd" + LEFT + "c\n")
        expect_that("\nbcd\n" in m.prompt(), f"inserted in the middle; {m.tail()}")


@test()
def line_editing_keys():
    with Machine() as m:
        m.boot()
        m.type("echo wrong\x7f\x7f\x7f\x7f\x7fright\n")
        expect_that("\nright\n" in m.prompt(), f"erase; {m.tail()}")
        m.type("echo wrong\x15echo right\n")
        expect_that("\nright\n" in m.prompt(), f"^U; {m.tail()}")
        m.type("cat > f\n")
        running(m, "cat")
        m.type("one\x7f\x7f\x7ftwo\nthree\x15four\n\x04")
        m.prompt()
        expect_that(m.sh("cat f") == "two\nfour\n", f"editing while a program reads, ended by ^D; {m.tail()}")


@test()
def interrupt_kills_the_foreground():
    with Machine(smp=2) as m:
        m.boot()
        m.type("sleep 600\n")
        running(m, "sleep")
        m.type("\x03")
        m.prompt()
        m.type("cat | cat | wc\n")
        running(m, "wc")
        m.type("\x03")
        m.prompt()
        left = processes(m)
        expect_that(not {"sleep", "cat", "wc"} & set(left), f"still there: {left}")
        m.sh("sleep 600 &")
        appears(m, "sleep")
        m.type("echo unfinished\x03")
        m.prompt()
        expect_that("sleep" in processes(m), f"^C at the prompt must leave background programs alone; {m.tail()}")
        expect_that("alive" in m.sh("echo alive"), m.tail())


@test()
def process_list_and_memory_report_by_key():
    """At the prompt and while a program runs."""
    with Machine(smp=2) as m:
        m.boot()
        m.type("\x10")
        m.expect(r"^ +1 .* init$")
        m.expect(r"^ +\d+ .* sh$")
        m.type("\x14")
        m.expect(r"(?i)free")
        m.type("sleep 600\n")
        running(m, "sleep")
        m.type("\x14")
        m.expect(r"(?i)free")
        m.type("\x03")
        m.prompt()


@test()
def memory_report_tells_who_has_the_heap():
    """In a kernel that tags its blocks: by place in the source, most bytes first."""
    with Machine(variant=("CHECK=2",)) as m:
        m.boot()
        m.type("\x14")
        m.expect(r"^heap slab: \d+ bytes in \d+ blocks")
        m.expect(r"^ +\d+ bytes in \d+ blocks: buffer_init\+0x[0-9a-f]+$")


@test()
def a_report_by_key_leaves_the_line_being_typed():
    """In the shell's own editing, and in the kernel's."""
    with Machine() as m:
        m.boot()
        m.type("echo some")
        m.expect("echo some")
        m.type("\x10")
        m.expect(r"^ +\d+ .* sh$")
        m.expect(r"^\$ echo some")
        m.type("thing\ncat\n")
        m.expect("^something$")
        running(m, "cat")
        m.type("abc")
        m.expect("abc")
        m.type("\x14")
        m.expect("(?i)free")
        m.expect("^abc")
        m.type("def\n")
        m.expect(r"def\nabcdef$")


@test()
def end_of_input_starts_a_new_shell():
    with Machine() as m:
        m.boot()
        m.type("\x04")
        m.prompt()
        expect_that("alive" in m.sh("echo alive"), m.tail())
