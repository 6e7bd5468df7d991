"""make gdb as a person uses it: in one terminal, with the guest's console in it."""

import os
import pty
import re
import select
import subprocess
import time

from suite import DISK, TOP, Failure, expect_that, make, patience, test


class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, *command):
        self.master, slave = pty.openpty()
        environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        environment["TERM"] = "dumb"
        self.process = subprocess.Popen(command, cwd=TOP, stdin=slave, stdout=slave, stderr=slave, env=environment,
                                        preexec_fn=lambda: (os.setsid(), __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0)))
        os.close(slave)
        self.text, self.seen = "", 0

    def expect(self, pattern, seconds=60):
        deadline = time.monotonic() + patience(seconds)
        while True:
            match = re.compile(pattern, re.MULTILINE).search(self.text, self.seen)
            if match:
                before, self.seen = self.text[self.seen:match.end()], match.end()
                return before
            if not select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0]:
                raise Failure(f"no /{pattern}/ in the terminal, which shows:\n{self.text[-3000:]}")
            try:
                data = os.read(self.master, 65536)
            except OSError:
                data = b""
            if not data:
                raise Failure(f"the terminal ended before /{pattern}/:\n{self.text[-3000:]}")
            self.text += data.decode("utf-8", "replace").replace("\r\n", "\n")

    def type(self, text):
        os.write(self.master, text.encode())

    def gdb(self, command, seconds=60):
        self.type(command + "\n")
        return self.expect(r"^\(gdb\) ", seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, 15)
        self.process.wait()
        os.close(self.master)


def expect_in(shown, *patterns):
    for pattern in patterns:
        expect_that(re.search(pattern, shown), f"no /{pattern}/ in:\n{shown}")


@test(weight=20)
def one_terminal():
    make(DISK)
    with Terminal("make", "-s", "gdb", "SMP=2", f"IMAGE={DISK}", "QEMU_EXTRA=-snapshot") as t:
        t.expect(r"^\(gdb\) ", 120)
        t.gdb("user cat")
        t.gdb("break process_exec")
        expect_in(t.gdb("continue", 120), r"Breakpoint \d+, process_exec")
        expect_in(t.gdb("backtrace"), r"#0 .*process_exec", r"#1 ")
        expect_in(t.gdb("ps"), r"init")
        expect_in(t.gdb("pages"), r"engine buddy", r"order +\d+: +\d+ blocks", r"per-CPU caches")
        t.gdb("delete")
        t.type("continue\n")
        t.expect(r"^\$ ", 120)
        t.type("\x03")
        t.expect(r"^\(gdb\) ")
        # A breakpoint in a user program, reached by typing its name at the guest's shell.
        t.gdb("tbreak 'cat.c':main")
        t.type("continue\n")
        t.expect("Continuing")
        t.type("cat README\n")
        t.expect(r"^\(gdb\) ")
        expect_in(t.gdb("areas"), r"cat\[\d+\]", r"r-x text", r"rw- stack", r"rw- (data|heap)")
        expect_in(t.gdb("walk $pc"), r"Sv39", r"level 0: .*v.*x.*u", r"is physical 0x[0-9a-f]+, by a leaf of 4 KiB")
        shown = t.gdb("walk $pc")
        physical = re.search(r"is physical (0x[0-9a-f]+)", shown).group(1)
        expect_in(t.gdb(f"page {physical}"), r"PAGE_USED, order 0, \d+ references")
        expect_in(t.gdb("walk &page_state"), r"level 2: .*pointer|level 2: ", r"is physical 0x8")
        expect_in(t.gdb("walk 0"), r"is not mapped")
        expect_in(t.gdb("slabs"), r"process")
        expect_in(t.gdb("page 0x1000"), r"no record")
        t.type("quit\n")
        t.process.wait(timeout=patience(30))
