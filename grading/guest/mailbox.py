"""The memory that judge and driver share, as grading/driver/mailbox.h lays it out; and what an ELF file says of the kernel."""

import struct

MAGIC = 0x6567647571756972
SLOTS_AT, SLOTS = 4096, 32768
CALLS = 24576
CALL = struct.Struct("<BBBBIQQQQIIII")
HALVES = (SLOTS_AT + SLOTS * 8, SLOTS_AT + SLOTS * 8 + CALLS * CALL.size)
BYTES = (HALVES[1] + CALLS * CALL.size + 4095) & ~4095
PAGE = 4096
RAM = 0x80000000
LINEAR = 0xffffffc000000000

GO, CALLS_AT, SHARE, ARRIVALS, STAGE, TREE, DONE, PROGRESS = 584, 592, 600, 728, 736, 744, 768, 896
MOST_RANGES = 16   # holes, regions

# The driver's own calls; a subject's begin at GROUP times its number (driver/subject.h).
NOTHING, PAGE_INIT, START_HARTS, INTERRUPT, TABLE_INIT = range(5)
OWN_CALLS = {NOTHING: "nothing", PAGE_INIT: "page_init(memory, config)", START_HARTS: "the other harts start", INTERRUPT: "an interrupt",
             TABLE_INIT: "kernel_map_init, vmalloc_init"}
GROUP = 32
HEAPS = 3 * GROUP
SKIPPED = 2 ** 64 - 1
ODD_INTERRUPTS, ODD_LOCK, ODD_STAMP = 1, 2, 4


def header(config):
    """What the judge writes before the start."""
    holes, regions = config["holes"], config["regions"]
    name = config["engine"].encode().ljust(16, b"\0")
    data = struct.pack("<5Q16s2Q", MAGIC, BYTES, config["dma_limit"], config["reserve"], config["harts"], name, len(holes), len(regions))
    for ranges in (holes, regions):
        data += b"".join(struct.pack("<2Q", *one) for one in ranges).ljust(MOST_RANGES * 16, b"\0")
    return data.ljust(4096, b"\0")


class Call:
    """A call of the plan, and what came back. What order, flags, touch and the three arguments mean is the subject's affair."""
    __slots__ = ("op", "order", "flags", "touch", "slot", "argument", "second", "third", "value", "begin", "end", "cost", "odd",
                 "hart", "hold")

    def __init__(self, op, order=0, flags=0, slot=0, argument=0, touch=0, second=0, third=0):
        self.op, self.order, self.flags, self.touch, self.slot = op, order, flags, touch, slot
        self.argument, self.second, self.third = argument, second, third
        self.value = self.begin = self.end = self.cost = self.odd = self.hart = 0
        self.hold = None   # what a model keeps with it

    def planned(self):
        return (self.op, self.order, self.flags, self.touch, self.slot, self.argument, self.second, self.third)

    def pack(self):
        return CALL.pack(*self.planned(), 0, 0, 0, 0, 0)

    def is_same(self, fields):
        return fields[:8] == self.planned()

    def read(self, fields):
        self.value, self.begin, self.end, self.cost, self.odd = fields[8:]


class Elf:
    """Segments and symbols of a 64-bit little-endian ELF file. sandboxed: a stranger's, whose machine runs in a sandbox."""

    def __init__(self, path, sandboxed=False):
        self.path, self.sandboxed = path, sandboxed
        with open(path, "rb") as file:
            data = file.read()
        if data[:6] != b"\x7fELF\x02\x01":
            raise ValueError(f"{path} is no 64-bit little-endian ELF file")
        phoff, shoff = struct.unpack_from("<2Q", data, 32)
        phsize, phnum, shsize, shnum = struct.unpack_from("<4H", data, 54)
        self.constant = []   # (physical address, bytes) of what is never written
        for i in range(phnum):
            kind, flags, offset, _, physical, size = struct.unpack_from("<2I4Q", data, phoff + i * phsize)
            if kind == 1 and not flags & 2:
                self.constant.append((physical, data[offset:offset + size]))
        self.symbols, self.functions = {}, []
        sections = [struct.unpack_from("<2I4Q2I2Q", data, shoff + i * shsize) for i in range(shnum)]
        for section in sections:
            if section[1] == 2:
                names = sections[section[6]][4]
                for at in range(section[4], section[4] + section[5], 24):
                    name, info, _, _, value, size = struct.unpack_from("<I2BH2Q", data, at)
                    text = data[names + name:data.index(b"\0", names + name)].decode()
                    self.symbols[text] = value
                    if info & 15 == 2:
                        self.functions.append((value, size, text))
        self.functions.sort()

    def physical(self, name):
        return self.symbols[name] - LINEAR

    def function_at(self, address):
        for start, size, name in self.functions:
            if start <= address < start + max(size, 1):
                return name
        return None
