"""The judge's own model of physical pages: which are in use, replayed from calls and results.

A block is certainly in use between the end of its page_alloc and the beginning of the page_free that drops its last reference, by
the driver's tickets. Replaying ends of allocations and beginnings of frees in the tickets' order is therefore right for any number
of harts: two blocks that overlap in the model were in use at the same time.
"""

import collections
import struct

from guest import mailbox as box
from guest.machine import Ended
from guest.mailbox import PAGE, RAM
from guest.verdicts import Violation

FREE, USED, FIRMWARE, KERNEL, TREE, MAILBOX, HOLE, BEYOND = range(8)
PICTURE = ".#FKTMH?"
NAMES = {FIRMWARE: "the firmware", KERNEL: "the kernel's image", TREE: "the device tree", MAILBOX: "the judge's mailbox",
         HOLE: "a reservation", BEYOND: "memory that page_alloc never gave out before (the records, for instance)"}

OPS = ("alloc", "free", "share", "refs", "order", "is_allocated", "free_count", "total_count", "drain", "free_at", "share_storm", "churn")
(ALLOC, FREE_OP, SHARE_OP, REFS, ORDER, IS_ALLOCATED, FREE_COUNT, TOTAL_COUNT, DRAIN, FREE_AT, SHARE_STORM,
 CHURN) = range(box.GROUP, box.GROUP + len(OPS))   # grading/driver/pages.c
STAMP = 1
ZERO, ATOMIC, DMA = 1, 2, 4
MAX_ORDER = 10


class Block:
    __slots__ = ("base", "order", "references", "slot", "stamped", "zero", "call")

    def __init__(self, base, call):
        self.base, self.order, self.references, self.slot, self.call = base, call.order, 1, call.slot, call
        self.stamped = "driver" if call.touch & STAMP else None
        self.zero = bool(call.flags & ZERO)


def describe(call):
    if call.op == ALLOC:
        flags = "|".join(n for bit, n in ((1, "PAGE_ZERO"), (2, "PAGE_ATOMIC"), (4, "PAGE_DMA")) if call.flags & bit) or "0"
        result = f" = 0x{call.value:x}" if call.value else " = PA_NONE" if call.end else ""
        text = f"page_alloc({call.order}, {flags}){result}"
    elif call.op in (FREE_AT, IS_ALLOCATED):
        text = f"page_{OPS[call.op - box.GROUP]}(0x{call.argument:x})".replace("free_at", "free")
    elif call.op in (FREE_OP, SHARE_OP, REFS, ORDER):
        text = f"page_{OPS[call.op - box.GROUP]}(" + (f"0x{call.argument:x})" if call.argument else f"block {call.slot})")
    elif call.op == SHARE_STORM:
        text = f"page_share and page_free, {call.argument} times"
    elif call.op == CHURN:
        text = f"page_alloc and page_free of up to 120 blocks, {call.argument} times"
    else:
        text = box.OWN_CALLS[call.op] if call.op in box.OWN_CALLS else f"page_{OPS[call.op - box.GROUP]}()"
    if not call.end:
        text += " does not return"
    elif call.op in (REFS, ORDER, FREE_COUNT, TOTAL_COUNT, IS_ALLOCATED):
        text += f" = {call.value}"
    return f"hart {call.hart}: {text}"


class Model:
    describe = staticmethod(describe)

    def __init__(self, guest):
        self.guest = guest
        self.pages = guest.memory // PAGE
        self.state = bytearray([BEYOND]) * self.pages
        self.key = guest.rng.getrandbits(64)
        self.blocks, self.slots = {}, {}   # by address; by slot
        self.mirror = bytearray(box.SLOTS * 8)
        self.managed = None                # pages, once known
        self.limit = min(max(0, guest.config["dma_limit"] - RAM) // PAGE, self.pages)
        self.examined = collections.Counter()
        self.history = []
        self.found = []                    # violations that are not fatal
        for start, size in guest.regions:
            self._paint(start, size, FREE, inside=True)
        self._paint(RAM, 0x80000, FIRMWARE)
        kernel = guest.elf.physical("kernel_start")
        self._paint(kernel, guest.code_end - kernel, KERNEL)
        tree = guest.word(box.TREE)
        if guest.read(tree, 4) == b"\xd0\x0d\xfe\xed":
            self._paint(tree, struct.unpack(">I", guest.read(tree + 4, 4))[0], TREE)
        self._paint(guest.place, box.BYTES, MAILBOX)
        for start, size in guest.config["holes"]:
            self._paint(start, size, HOLE)
        self.offered = self.state.count(FREE)

    def _paint(self, start, size, what, inside=False):
        first, last = (start - RAM) // PAGE, (start + size - RAM + PAGE - 1) // PAGE
        if inside:
            first, last = (start - RAM + PAGE - 1) // PAGE, (start + size - RAM) // PAGE
        first, last = max(0, first), min(self.pages, last)
        if first < last:
            self.state[first:last] = bytes([what]) * (last - first)

    # --- what fits

    def zones(self, dma):
        return [(0, self.limit)] + ([] if dma else [(self.limit, self.pages)])

    def fits(self, order, first, last):
        size = 1 << order
        want = bytes(size)
        at = self.state.find(0, first, last)
        while 0 <= at:
            at = (at + size - 1) & -size
            if at + size > last:
                return None
            if self.state[at:at + size] == want:
                return at
            at = self.state.find(0, at + 1, last)
        return None

    def must_give(self, order, flags):
        """Where a block lies that page_alloc may give, or None."""
        kept = 0 if flags & ATOMIC else self.guest.config["reserve"]
        for first, last in self.zones(flags & DMA):
            if self.state.count(0, first, last) >= (1 << order) + kept:
                at = self.fits(order, first, last)
                if at is not None:
                    return RAM + at * PAGE
        return None

    def free_pages(self):
        return self.state.count(FREE)

    # --- replay

    def replay(self, calls, alone):
        """All calls of a batch, by tickets. alone: one hart made them, so refusals and counts are exact, too."""
        events = []
        for call in calls:
            if not call.begin < call.end:
                raise Ended("tampered", "results were changed by the guest: they are not in the order of the calls")
            events.append((call.begin if call.op == FREE_OP else call.end, call))
        for _, call in sorted(events, key=lambda event: event[0]):
            if call.op in (FREE_OP, SHARE_OP, REFS, ORDER) and call.slot in self.slots:
                call.argument = self.slots[call.slot].base
            self.history.append(call)
            self._replay_one(call, alone)

    def _note(self, *arguments, **named):
        self.found.append(Violation(*arguments, **named))

    def _replay_one(self, call, alone):
        self.examined["leaves"] += 1
        if call.odd & (box.ODD_INTERRUPTS | box.ODD_LOCK):
            what = "left interrupts off" if call.odd & box.ODD_INTERRUPTS else "left a lock held"
            self._note("leaves", "interrupts on and no lock held after the call", f"it {what}", call=call)
        if call.op == ALLOC:
            self._alloc(call, alone)
        elif call.op == FREE_OP:
            self._free(call)
        elif call.op == SHARE_OP and call.slot in self.slots:
            self.slots[call.slot].references += 1
        elif call.op == CHURN and call.value:
            self._note("harts", "each hart's marks in its own blocks", f"{call.value} blocks were written to by others", call=call)
        elif alone:
            self._ask(call)

    def _ask(self, call):
        block = self.slots.get(call.slot)
        if call.op == REFS and block:
            self._compare("references", block.references, call, block.base)
        elif call.op == ORDER and block:
            self._compare("counts", block.order, call, block.base)
        elif call.op == IS_ALLOCATED:
            inside = 0 <= call.argument - RAM < self.pages * PAGE and self.state[(call.argument - RAM) // PAGE] == USED
            self._compare("counts", int(inside), call, call.argument)
        elif call.op == FREE_COUNT and self.managed is not None:
            self._compare("counts", self.free_pages(), call)
        elif call.op == TOTAL_COUNT and self.managed is not None:
            self._compare("counts", self.managed, call)

    def _compare(self, check, expected, call, address=None):
        self.examined[check] += 1
        if call.value != expected:
            self._note(check, str(expected), f"got {call.value}", address=address, call=call)

    def _alloc(self, call, alone):
        struct.pack_into("<Q", self.mirror, 8 * call.slot, call.value)
        if call.order > MAX_ORDER:
            self.examined["edges"] += 1
            if call.value:
                raise Violation("edges", "PA_NONE", f"got a block at 0x{call.value:x}", call.value, call, fatal=True)
            return
        if not call.value:
            self._refused(call, alone)
            return
        base, pages = call.value, 1 << call.order
        for check in ("range", "aligned", "reserved", "disjoint"):
            self.examined[check] += 1
        if base < RAM or base + pages * PAGE > RAM + self.pages * PAGE:
            raise Violation("range", f"a block in 0x{RAM:x} to 0x{RAM + self.pages * PAGE:x}", f"got 0x{base:x}", None, call, fatal=True)
        if (base - RAM) % (pages * PAGE):
            raise Violation("aligned", f"a multiple of 0x{pages * PAGE:x}", f"got 0x{base:x}", base, call, fatal=True)
        first = (base - RAM) // PAGE
        for at in range(first, first + pages):
            if self.state[at] != FREE:
                self._taken(call, RAM + at * PAGE, self.state[at])
        if call.flags & DMA:
            self.examined["dma"] += 1
            if first + pages > self.limit:
                self._note("dma", f"a block below 0x{self.guest.config['dma_limit']:x}", f"got 0x{base:x}", address=base, call=call)
        self.state[first:first + pages] = bytes([USED]) * pages
        self.blocks[base] = self.slots[call.slot] = Block(base, call)

    def _taken(self, call, address, what):
        if what == USED:
            owner = next(b for b in self.blocks.values() if b.base <= address < b.base + (PAGE << b.order))
            raise Violation("disjoint", "a block of free pages",
                            f"0x{address:x} belongs to the block 0x{owner.base:x} of order {owner.order} ({describe(owner.call)})", address,
                            call, fatal=True)
        if what == BEYOND and self.managed is not None:
            raise Violation("reserve" if self.guest.config["reserve"] else "all-memory", "every free page was given out at exhaustion",
                            f"0x{address:x} was not, but now it is", address, call, fatal=True)
        raise Violation("reserved", "a block of free pages", f"0x{address:x} belongs to {NAMES[what]}", address, call, fatal=True)

    def _refused(self, call, alone):
        if not alone or self.managed is None:
            return
        self.examined["refusal"] += 1
        place = self.must_give(call.order, call.flags)
        if place is not None:
            self._note("refusal", f"a block: the one at 0x{place:x} is free", "got PA_NONE", address=place, call=call)

    def _free(self, call):
        block = self.slots.get(call.slot)
        if not block:
            return
        if call.odd & box.ODD_STAMP:
            self._note("harts" if self.guest.harts > 1 else "contents", "the owner's marks in the block", "somebody wrote over them",
                       address=block.base, call=call)
        block.references -= 1
        if block.references == 0:
            first = (block.base - RAM) // PAGE
            self.state[first:first + (1 << block.order)] = bytes(1 << block.order)
            del self.blocks[block.base]
            del self.slots[call.slot]

    # --- contents, while the guest is parked

    def pattern(self, page):
        return struct.pack("<Q", (page * 0x9e3779b97f4a7c15 ^ self.key) & (2 ** 64 - 1)) * (PAGE // 8)

    def look(self):
        """At all that is in use: zeroed where asked, untouched where we wrote before. Then every block is dirty with our pattern."""
        if self.guest.read(self.guest.place + box.SLOTS_AT, box.SLOTS * 8) != self.mirror:
            raise Ended("tampered", "the list of blocks was changed by the guest")
        for block in self.blocks.values():
            if block.stamped == "driver":
                continue
            if block.stamped is None:
                if block.zero:
                    self._look_zero(block)
                for page in range(block.base, block.base + (PAGE << block.order), PAGE):
                    self.guest.write(page, self.pattern(page))
                block.stamped = "judge"
            else:
                self.verify(block)

    def verify(self, block):
        for page in range(block.base, block.base + (PAGE << block.order), PAGE):
            self.examined["contents"] += 1
            data, pattern = self.guest.read(page, PAGE), self.pattern(page)
            if data != pattern:
                at = next(i for i in range(PAGE) if data[i] != pattern[i])
                self._note("contents", "what the owner wrote", f"byte 0x{page + at:x} was changed", address=page, call=block.call)
                self.guest.write(page, pattern)
                return

    def _look_zero(self, block):
        self.examined["zero"] += 1
        size = PAGE << block.order
        data = self.guest.read(block.base, size)
        if data.count(0) != size:
            at = next(i for i in range(size) if data[i])
            self._note("zero", "zeroes only", f"byte 0x{block.base + at:x} is 0x{data[at]:02x}", address=block.base + at, call=block.call)

    def learn(self):
        """Memory is exhausted: what was given out now is what there is."""
        self.managed = self.state.count(USED)
        self.state = self.state.replace(bytes([FREE]), bytes([BEYOND]))

    # --- for people

    def map_around(self, address, rows=3, width=64):
        if address is None or not RAM <= address < RAM + self.pages * PAGE:
            return ""
        here = (address - RAM) // PAGE
        first = max(0, here // width - rows // 2) * width
        lines = []
        for start in range(first, min(first + rows * width, self.pages), width):
            row = self.state[start:start + width]
            lines.append(f"  {RAM + start * PAGE:#x} " + "".join(PICTURE[s] for s in row))
            if start <= here < start + width:
                lines.append(" " * (13 + here - start) + "^ " + f"{address:#x}")
        used = "".join(sorted(set("".join(lines)) & set(PICTURE)))
        legend = {".": "free", "#": "in use", "F": "firmware", "K": "kernel", "T": "device tree", "M": "mailbox", "H": "reserved",
                  "?": "never given out"}
        return "\n".join(lines + ["  one sign a page: " + ", ".join(f"{c} {legend[c]}" for c in used if c in legend)])
