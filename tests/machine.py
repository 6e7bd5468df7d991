"""A QEMU that runs Quire, seen from its console: types, and waits for text. Nothing here sleeps for a fixed time.

    with Machine(smp=4, memory="64M", append="pages=bitmap") as m:
        m.boot()                       # waits for the prompt
        print(m.sh("ls | wc"))         # what the command printed
        m.type("\\x10")                # a key
        m.expect(r"init")              # waits until the console shows this

The command comes from `make -s print-qemu`, so that tests and people run the same machine. The disk is written to a temporary
overlay (-snapshot) unless an image of the test's own is given.
"""

import os
import re
import select
import shlex
import signal
import subprocess
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROMPT = re.compile(r"(?:^|\n)\$ \Z")
PANIC = re.compile(r"^panic: ", re.MULTILINE)
DISK = "build/tests.img"   # the usual programs and those of tests/programs/


class Failure(Exception):
    """A test's expectation that did not hold; the text is what a person needs to see."""


def patience(seconds):
    """A deadline for a machine that is busy with other things as well: generous, and scaled with its load."""
    try:
        load = os.getloadavg()[0] / (os.cpu_count() or 1)
    except OSError:
        load = 1.0
    return seconds * float(os.environ.get("QUIRE_PATIENCE", "1")) * max(1.0, load)


def expect_that(condition, message):
    if not condition:
        raise Failure(message)


# --- building: each target once, however many tests ask for it, and one after the other ------------------------------------------

_built = {}
_build_lock = threading.Lock()


def make(*arguments):
    """Runs make once for these arguments, returns what it printed; raises Failure with its output when it fails."""
    with _build_lock:
        first = arguments not in _built
        if first:
            environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
            _built[arguments] = subprocess.run(["make", "-s", "-j2", *arguments], cwd=TOP, text=True, env=environment,
                                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        result = _built[arguments]
    if result.returncode != 0:
        output = f":\n{result.stdout}{result.stderr}" if first else ", as said above"
        raise Failure(f"make {' '.join(arguments)} fails{output}")
    return result.stdout


def qemu_command(smp=1, memory="128M", append="", extra=(), variant=(), image=None):
    """The command line of `make qemu` with these knobs, as a list."""
    if not image:
        make(DISK)
    line = make("print-qemu", "SMP=@SMP@", "MEM=@MEM@", "APPEND=@APPEND@", f"IMAGE={image or DISK}", *variant)
    words = [{"@SMP@": str(smp), "@MEM@": memory, "@APPEND@": append}.get(word, word) for word in shlex.split(line)]
    if not append:
        del words[words.index("-append"):words.index("-append") + 2]
    return words + list(extra)


class Machine:
    def __init__(self, smp=1, memory="128M", append="", extra=(), variant=(), image=None):
        self.directory = tempfile.TemporaryDirectory(prefix="quire-")
        self.monitor_path = os.path.join(self.directory.name, "monitor")
        self.command = qemu_command(smp, memory, append, extra, variant, image)
        self.command += ["-monitor", f"unix:{self.monitor_path},server=on,wait=off"]
        if not image:
            self.command.append("-snapshot")
        self.process = None
        self.text = ""      # all that the console showed
        self.seen = 0       # expect looks behind this
        self.panic_is_expected = False

    def __enter__(self):
        environment = dict(os.environ, TMPDIR=self.directory.name)
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=TOP,
                                        env=environment, start_new_session=True)
        os.set_blocking(self.process.stdout.fileno(), False)
        return self

    def __exit__(self, *_):
        self.kill()
        self.directory.cleanup()

    def kill(self):
        """As if the power had been cut."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._drain()

    def _drain(self):
        """Takes what the console has to give; False at its end."""
        try:
            data = os.read(self.process.stdout.fileno(), 65536)
        except BlockingIOError:
            return True
        self.text += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(data)

    def _wait_for(self, found, what, seconds):
        deadline = time.monotonic() + patience(seconds)
        while True:
            result = found()
            if result is not None:
                return result
            self._fail_on_panic()
            left = deadline - time.monotonic()
            if left <= 0:
                raise Failure(f"no {what} within {patience(seconds):.0f} s; {self.tail()}")
            ready, _, _ = select.select([self.process.stdout], [], [], min(left, 5))
            if ready and not self._drain():
                result = found()
                if result is not None:
                    return result
                raise Failure(f"QEMU ended (status {self.process.wait()}) before {what}; {self.tail()}")

    def _fail_on_panic(self):
        if not self.panic_is_expected and PANIC.search(self.text, self.seen):
            deadline = time.monotonic() + patience(2)   # let it finish its report
            while time.monotonic() < deadline and select.select([self.process.stdout], [], [], 0.5)[0] and self._drain():
                pass
            raise Failure(f"the kernel panicked; {self.tail(60)}")

    def tail(self, lines=25):
        return f"the console's last lines:\n" + "\n".join(self.text.splitlines()[-lines:])

    def expect(self, pattern, seconds=60):
        """Waits until the console shows a match behind the last one expected; returns the match."""
        compiled = re.compile(pattern, re.MULTILINE)

        def found():
            match = compiled.search(self.text, self.seen)
            if match:
                self.seen = match.end()
            return match
        return self._wait_for(found, f"/{pattern}/", seconds)

    def prompt(self, seconds=60):
        """Waits for the shell's prompt as the last thing on the console; returns the text since the last thing expected."""
        def found():
            if not PROMPT.search(self.text, max(0, self.seen - 1)):
                return None
            text, self.seen = self.text[self.seen:], len(self.text)
            return text
        return self._wait_for(found, "prompt", seconds)

    def boot(self, seconds=60):
        return self.prompt(seconds)

    def type(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def sh(self, line, seconds=60):
        """Types a command; returns what it printed, without the echoed line and the prompt."""
        self.type(line + "\n")
        text = self.prompt(seconds).removesuffix("$ ")
        echo = line + "\n"   # twice when it was typed before the shell had switched the console to its own editing
        return text.partition(echo)[2].removeprefix(echo)

    def ended(self, seconds=60):
        """Waits until QEMU ends by itself; returns its exit status."""
        deadline = time.monotonic() + patience(seconds)
        while self._drain() or self.process.poll() is None:
            if time.monotonic() > deadline:
                raise Failure(f"QEMU still runs; {self.tail()}")
            select.select([self.process.stdout], [], [], 0.2)
            self._fail_on_panic()
        return self.process.wait()

    def monitor(self, command, seconds=60):
        """Sends a command to QEMU's monitor; returns its answer."""
        import socket
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(patience(seconds))
            connection.connect(self.monitor_path)

            def until_prompt():
                text = b""
                while not text.endswith(b"(qemu) "):
                    data = connection.recv(65536)
                    if not data:
                        break
                    text += data
                return text.decode()
            until_prompt()
            connection.sendall(command.encode() + b"\n")
            return until_prompt().partition("\n")[2].replace("\r\n", "\n").removesuffix("(qemu) ")
