"""A QEMU that runs the kernel under the judge's driver; its RAM is a file that is mapped here, too.

Nothing that the guest prints and no exit status is evidence: the console is kept for the reader of a failure only. A guest that does
not come to its next parking place raises Ended with the reason. Waiting is bounded in two ways: by the processor time that QEMU burns
without a call ending (which a busy machine does not change), and, for guests that sleep, by a generous time on the wall.
"""

import mmap
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

import sandbox
from guest import mailbox as box
from sandbox import load

SILENT_CPU = 4.0     # seconds of processor time without progress
SILENT_WALL = 20.0   # seconds on the wall without progress, on an idle machine
FLOOD = 1 << 20      # bytes on the console
TICKS = os.sysconf("SC_CLK_TCK")


class Ended(Exception):
    """The guest will not answer any more. kind: hang, panic, exit, flood, tampered. address: of what was changed, if that is known."""

    def __init__(self, kind, text, detail="", address=None):
        super().__init__(text)
        self.kind, self.detail, self.address = kind, detail, address
        self.running, self.ended = [], []   # calls that had begun, calls that were over


class Broken(Exception):
    """The judge or its machine fails, not the submission."""


def directory_for(bytes_needed):
    """Where the RAM file is best: in memory, if there is room."""
    try:
        if shutil.disk_usage("/dev/shm").free > 2 * bytes_needed and os.access("/dev/shm", os.W_OK):
            return "/dev/shm"
    except OSError:
        pass
    return None


class Guest:
    def __init__(self, elf, rng, memory=64 << 20, harts=1, engine="buddy", dma_limit=1 << 32, reserve=0, holes=0, regions=(),
                 icount=False):
        self.elf, self.rng, self.memory, self.harts, self.icount = elf, rng, memory, harts, icount
        self.regions = list(regions) or [(box.RAM, memory)]   # the memory that the guest is told of: (start, bytes)
        self.config = {"engine": engine, "dma_limit": dma_limit, "reserve": reserve, "harts": harts, "regions": list(regions)}
        self.code_end = (elf.physical("kernel_end") + 4095) & ~4095
        self.place = self._choose_place(dma_limit)
        self.config["holes"] = self._choose_holes(holes)
        self.console, self.printed = b"", 0
        self.batches, self.half, self.kept, self.arrivals = 0, 1, None, 0
        self.running = 1   # harts that take part in batches
        self.process, self.pids = None, []

    def _choose_place(self, dma_limit):
        """The mailbox's: not where the DMA limit is, or nothing would lie on both sides of it."""
        while True:
            place = self.rng.randrange(self.code_end + (1 << 20), box.RAM + self.memory - box.BYTES - (4 << 20), 4096)
            if not place - (1 << 20) < dma_limit < place + box.BYTES + (1 << 20):
                return place

    def _choose_holes(self, count):
        """Reservations in the middle, of odd sizes, none touching the mailbox."""
        holes = []
        while len(holes) < count:
            size = self.rng.choice((1, 100, 4096, 4097, 12345, 65536, 300000, 1 << 20))
            start = self.rng.randrange(self.code_end, box.RAM + self.memory - size)
            if start + size + 4096 < self.place or start > self.place + box.BYTES + 4096:
                holes.append((start, size))
        return holes

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="judge-", dir=directory_for(sum(size for _, size in self.regions)))
        path = os.path.join(self.directory.name, "ram")
        dirt = self.rng.getrandbits(8 << 20).to_bytes(1 << 20, "little")
        with open(path, "wb") as file:   # memory is dirty from the first moment on
            file.truncate(self.memory)
            for start, size in self.regions:
                for at in range(start - box.RAM & -(1 << 20), start + size - box.RAM, 1 << 20):
                    file.seek(at)
                    file.write(dirt[:self.memory - at])
        with open(path, "r+b") as file:
            self.ram = mmap.mmap(file.fileno(), self.memory)
        self.write(self.place, box.header(self.config) + bytes(box.SLOTS * 8))
        self.monitor = os.path.join(self.directory.name, "monitor")
        command = ["qemu-system-riscv64", "-machine", "virt,memory-backend=ram", "-bios", "default", "-kernel", self.elf.path, "-append",
                   f"{self.place:x}", "-smp", str(self.harts), "-m", f"{self.memory >> 20}M", "-object",
                   f"memory-backend-file,id=ram,size={self.memory},mem-path={path},share=on", "-nodefaults", "-display", "none", "-serial",
                   "stdio", "-no-reboot", "-monitor", f"unix:{self.monitor},server=on,wait=off"]
        if self.icount:
            command += ["-icount", "shift=0,sleep=off", "-seed", "1"]
        cell = sandbox.Sandbox([self.elf.path], [self.directory.name], trusted=not self.elf.sandboxed)
        cell.own(self.directory.name)
        try:
            self.process = subprocess.Popen(cell.wrap(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                            **cell.identity())
        except OSError as error:
            raise Broken(f"QEMU does not start: {error}") from error
        os.set_blocking(self.process.stdout.fileno(), False)
        return self

    def __exit__(self, *_):
        if self.process:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process.stdout.close()
        self.ram.close()
        self.directory.cleanup()

    # --- memory

    def read(self, address, size):
        return self.ram[address - box.RAM:address - box.RAM + size]

    def write(self, address, data):
        self.ram[address - box.RAM:address - box.RAM + len(data)] = data

    def word(self, offset):
        return struct.unpack("<Q", self.read(self.place + offset, 8))[0]

    def set_word(self, offset, value):
        self.write(self.place + offset, struct.pack("<Q", value))

    # --- waiting

    def _cpu(self):
        """Seconds of processor time that QEMU has used: it may be a child of bubblewrap's child."""
        if len(self.pids) < (3 if self.elf.sandboxed else 1):
            self.pids = sandbox.descendants(self.process.pid)
        total = 0
        for pid in self.pids:
            try:
                with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                    fields = file.read().rpartition(")")[2].split()
                total += int(fields[11]) + int(fields[12])
            except (OSError, IndexError, ValueError):
                pass
        return total / TICKS

    def _drain(self):
        try:
            data = os.read(self.process.stdout.fileno(), 1 << 16)
        except BlockingIOError:
            return
        self.printed += len(data)
        self.console = (self.console + data)[-65536:]
        if self.printed > FLOOD:
            raise Ended("flood", f"the guest floods its console: more than {FLOOD >> 20} MiB of text")

    def _progress(self):
        return self.read(self.place + box.STAGE, 8) + self.read(self.place + box.DONE, 256)

    def wait(self, arrived, what):
        """Until arrived() or the guest is past hope."""
        last, pause = None, 0.0003
        while not arrived():
            self._drain()
            progress = self._progress()
            if progress != last:
                last, cpu, wall = progress, self._cpu(), time.monotonic()
            elif self._cpu() - cpu > SILENT_CPU * max(1, self.harts / 2) or time.monotonic() - wall > SILENT_WALL * load():
                raise Ended("hang", f"the guest hangs {what}: no call ended for {time.monotonic() - wall:.0f} s", self.whereabouts())
            if self.process.poll() is not None:
                if arrived():
                    return
                if not self._was_loaded():
                    raise Broken(f"QEMU does not start (status {self.process.returncode}): {self.message()}")
                raise Ended("exit", f"the machine ended (QEMU's status {self.process.returncode}) {what}", self.message())
            if self._panicked():
                self._last_words()
                raise Ended("panic", f"the kernel panicked {what}", self.message())
            select.select([self.process.stdout], [], [], pause)
            pause = min(pause * 1.5, 0.01)

    def _was_loaded(self):
        """Whether QEMU came so far as to put the kernel into memory; if not, the submission has nothing to do with its end."""
        return all(self.read(address, len(data)) == data for address, data in self.elf.constant) or self.word(box.STAGE) == 1

    def _panicked(self):
        """Before the driver parks first that word may still be dirty: there the console has to tell the same."""
        begun = struct.unpack("<I", self.read(self.elf.physical("panic_begun"), 4))[0]
        return begun and (self.word(box.STAGE) or b"panic: " in self.console)

    def _last_words(self):
        deadline = time.monotonic() + 1.0 * load()
        while time.monotonic() < deadline and b"restart the machine" not in self.console:
            select.select([self.process.stdout], [], [], 0.02)
            self._drain()

    def message(self):
        """What the guest printed last: for the reader, never evidence."""
        text = self.console.decode("utf-8", "replace").replace("\r", "")
        text = text[text.rfind("panic: "):] if "panic: " in text else "\n".join(text.splitlines()[-12:])
        text = re.sub(r"^ +(?:pc|[astg][0-9p]+|ra) [0-9a-f]{16} .*\n", "", text, flags=re.M)   # registers: the trace below tells more
        return re.sub(r"[^\x20-\x7e\n]", "?", text)[-1500:].strip()

    def whereabouts(self):
        """The functions that the harts are in, asked of QEMU."""
        found = []
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(2 * load())
                connection.connect(self.monitor)
                connection.sendall(b"info registers -a\n")
                text = b""
                while text.count(b"x31/t6") < self.harts and len(text) < 1 << 17:
                    data = connection.recv(65536)
                    if not data:
                        break
                    text += data
            for pc in re.findall(rb"(?m)^ *pc +([0-9a-f]{8,16})", text):
                found.append(self.elf.function_at(int(pc, 16)) or "0x" + pc.decode())
        except OSError:
            pass
        return "the harts are in: " + ", ".join(found) if found else ""

    # --- the driver

    def boot(self):
        """To the parking place before page_init."""
        self.wait(lambda: self.word(box.STAGE) == 1, "at boot, before page_init")
        self.check_code()

    def check_code(self):
        for address, data in self.elf.constant:
            if self.read(address, len(data)) != data:
                now = self.read(address, len(data))
                at = next(i for i in range(len(data)) if now[i] != data[i])
                name = self.elf.function_at(address + at + box.LINEAR)
                where = f"0x{address + at:x}" + f" ({name})" * bool(name)
                raise Ended("tampered", f"the kernel's code or constants were changed in memory at {where}", address=address + at)

    def batch(self, shares):
        """Lets hart i make the calls shares[i]; fills the calls in. Checks that nothing else of the mailbox changed."""
        self.half ^= 1
        start, first = self.place + box.HALVES[self.half], 0
        if len(shares) > self.running:
            raise Broken(f"calls for {len(shares)} harts: {self.running} run")
        for hart in range(self.running):
            share = shares[hart] if hart < len(shares) else []
            self.write(self.place + box.SHARE + 8 * hart, struct.pack("<2I", first, len(share)))
            self.write(start + first * box.CALL.size, b"".join(call.pack() for call in share))
            first += len(share)
        if first > box.CALLS:
            raise Broken(f"a batch of {first} calls")
        self.arrivals += self.running
        self.set_word(box.ARRIVALS, self.arrivals)
        self.set_word(box.CALLS_AT, box.HALVES[self.half])
        fixed = self.read(self.place + box.GO + 8, box.STAGE - box.GO - 8)
        self.batches += 1

        def parked():
            done = struct.unpack(f"<{self.running}Q", self.read(self.place + box.DONE, 8 * self.running))
            if max(done) > self.batches:
                raise Ended("tampered", "the guest says that batches are done which nobody has asked for")
            return min(done) == self.batches
        before = self._begun()
        self.set_word(box.GO, self.batches)
        try:
            self.wait(parked, "during these calls")
        except Ended as ended:   # what ended before that still counts
            begun = [now - then for now, then in zip(self._begun(), before)]
            for hart, (share, n) in enumerate(zip(shares, begun)):
                if 0 < n <= len(share):
                    share[n - 1].hart = hart
                    ended.running.append(share[n - 1])
            ended.ended = self._read_results(start, shares, [max(0, n - 1) for n in begun])
            raise
        ended = self._read_results(start, shares, [len(share) for share in shares])
        try:
            self._check_untouched(fixed)
        except Ended as tampered:
            tampered.ended = ended
            raise
        self.kept = (start, self.read(start, first * box.CALL.size))

    def _check_untouched(self, fixed):
        self.check_code()
        if self.read(self.place + box.GO + 8, len(fixed)) != fixed or self.word(box.GO) != self.batches:
            raise Ended("tampered", "the plan's header was changed by the guest")
        if self.kept and self.read(self.kept[0], len(self.kept[1])) != self.kept[1]:
            raise Ended("tampered", "results that had been read already were changed by the guest")

    def _begun(self):
        return struct.unpack(f"<{self.harts}Q", self.read(self.place + box.PROGRESS, 8 * self.harts))

    def _read_results(self, start, shares, counts):
        """Fills in the first counts[i] calls of hart i; returns them."""
        ended = []
        for hart, share in enumerate(shares):
            for i, call in enumerate(share[:counts[hart]]):
                fields = box.CALL.unpack(self.read(start + box.CALL.size * i, box.CALL.size))
                if not call.is_same(fields):
                    raise Ended("tampered", "the plan's calls were changed by the guest")
                call.read(fields)
                call.hart = hart
                ended.append(call)
            start += box.CALL.size * len(share)
        return ended
