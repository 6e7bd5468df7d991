"""The judge's own model of physical pages: which are in use, replayed from calls and results; and what each check is about.

A block is certainly in use between the end of its page_alloc and the beginning of the page_free that drops its last reference, by
the driver's tickets. Replaying ends of allocations and beginnings of frees in the tickets' order is therefore right for any number
of harts: two blocks that overlap in the model were in use at the same time.
"""

import struct

import mailbox as box
from guest import Ended
from mailbox import PAGE, RAM

FREE, USED, FIRMWARE, KERNEL, TREE, MAILBOX, HOLE, BEYOND = range(8)
PICTURE = ".#FKTMH?"
NAMES = {FIRMWARE: "the firmware", KERNEL: "the kernel's image", TREE: "the device tree", MAILBOX: "the judge's mailbox",
         HOLE: "a reservation", BEYOND: "memory that page_alloc never gave out before (the records, for instance)"}

# check: (points, the invariant in a sentence, where to look)
CHECKS = {
    "start": (4, "page_init takes over the memory that memblock has free, and returns true.", "page_init"),
    "range": (5, "Each block lies wholly in RAM.", "page_alloc"),
    "aligned": (6, "A block of 2^order pages starts at a multiple of its size.", "page_alloc"),
    "disjoint": (8, "No page belongs to two blocks at the same time.", "page_alloc"),
    "reserved": (6, "What was reserved before page_init (firmware, kernel, device tree, holes) is never handed out.", "page_init"),
    "contents": (6, "Nobody but its owner writes to a block while it is in use.", "page_alloc"),
    "zero": (8, "PAGE_ZERO gives memory of which every byte is zero, also where it was used before.", "page_alloc"),
    "dma": (6, "PAGE_DMA gives memory below the DMA limit only.", "page_alloc"),
    "edges": (4, "An order above PAGE_MAX_ORDER is refused, whatever the flags.", "page_alloc"),
    "all-memory": (6, "Every free page can be allocated, but for at most 24 bytes of records a page.", "page_init"),
    "refusal": (8, "Memory is refused only when no aligned run of free pages is left that fits.", "page_alloc"),
    "reserve": (4, "Without PAGE_ATOMIC a zone keeps its reserve; with it the reserve can be had to the last page.", "page_alloc"),
    "coalesce": (8, "When everything was given back, in any order, the largest blocks can be allocated again, as many as before.",
                 "page_free"),
    "lost": (6, "After many rounds of use every page can still be allocated.", "page_free"),
    "counts": (4, "page_free_count and page_total_count tell the number of pages; page_is_allocated and page_order tell the truth.",
               "page_free_count"),
    "references": (6, "page_share adds a reference, page_free drops one, and only the last one frees the block.", "page_share"),
    "leaves": (2, "A call leaves interrupts as it found them and no lock held.", "page_alloc"),
    "double-free": (3, "Freeing a page that is free already is noticed at that call.", "page_free"),
    "free-inside": (2, "Freeing a page inside a block is noticed at that call.", "page_free"),
    "free-misaligned": (2, "Freeing an address inside a page is noticed at that call.", "page_free"),
    "free-foreign": (2, "Freeing memory that page_init did not take over is noticed at that call.", "page_free"),
    "harts": (8, "Any number of harts may call at the same time: no block is given out twice, none is lost.", "page_alloc"),
    "cost-page": (3, "A single page costs at most three times the instructions that it costs in the reference.", "page_alloc"),
    "cost-block": (3, "A block costs at most three times the instructions that it costs in the reference.", "page_alloc"),
    "cost-growth": (2, "With four times the memory a call costs at most twice what growth there is in the reference.", "page_alloc"),
}


class Violation(Exception):
    """A rule that does not hold: which check, where, what was expected, what was found. fatal: the model cannot go on from here."""

    def __init__(self, check, expected, actual, address=None, call=None, fatal=False):
        super().__init__(f"{check}: expected {expected}; {actual}")
        self.check, self.expected, self.actual, self.address, self.call, self.fatal = check, expected, actual, address, call, fatal


class Block:
    __slots__ = ("base", "order", "references", "slot", "stamped", "zero", "call")

    def __init__(self, base, call):
        self.base, self.order, self.references, self.slot, self.call = base, call.order, 1, call.slot, call
        self.stamped = "driver" if call.touch & box.STAMP else None
        self.zero = bool(call.flags & box.ZERO)


def describe(call):
    if call.op == box.ALLOC:
        flags = "|".join(n for bit, n in ((1, "PAGE_ZERO"), (2, "PAGE_ATOMIC"), (4, "PAGE_DMA")) if call.flags & bit) or "0"
        result = f" = 0x{call.value:x}" if call.value else " = PA_NONE" if call.end else ""
        text = f"page_alloc({call.order}, {flags}){result}"
    elif call.op in (box.FREE_AT, box.IS_ALLOCATED):
        text = f"page_{box.OPS[call.op]}(0x{call.argument:x})".replace("free_at", "free")
    elif call.op in (box.FREE, box.SHARE_OP, box.REFS, box.ORDER):
        text = f"page_{box.OPS[call.op]}(0x{call.argument:x})" if call.argument else f"page_{box.OPS[call.op]}(block {call.slot})"
    elif call.op == box.SHARE_STORM:
        text = f"page_share and page_free, {call.argument} times"
    elif call.op == box.CHURN:
        text = f"page_alloc and page_free of up to 120 blocks, {call.argument} times"
    else:
        text = {box.NOTHING: "nothing", box.INTERRUPT: "an interrupt"}.get(call.op, f"page_{box.OPS[call.op]}()")
    if not call.end:
        text += " does not return"
    elif call.op in (box.REFS, box.ORDER, box.FREE_COUNT, box.TOTAL_COUNT, box.IS_ALLOCATED):
        text += f" = {call.value}"
    return f"hart {call.hart}: {text}"


class Model:
    def __init__(self, guest, memories, reservations):
        self.guest = guest
        self.pages = guest.memory // PAGE
        self.state = bytearray([BEYOND]) * self.pages
        self.key = guest.rng.getrandbits(64)
        self.blocks, self.slots = {}, {}   # by address; by slot
        self.mirror = bytearray(box.SLOTS * 8)
        self.managed = None                # pages, once known
        self.limit = min(max(0, guest.config["dma_limit"] - RAM) // PAGE, self.pages)
        self.examined = dict.fromkeys(CHECKS, 0)
        self.history = []
        self.found = []                    # violations that are not fatal
        for start, size in memories:
            self._paint(start, size, FREE, inside=True)
        for start, size in reservations:
            self._paint(start, size, HOLE)
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
        kept = 0 if flags & box.ATOMIC else self.guest.config["reserve"]
        for first, last in self.zones(flags & box.DMA):
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
            events.append((call.begin if call.op == box.FREE else call.end, call))
        for _, call in sorted(events, key=lambda event: event[0]):
            if call.op in (box.FREE, box.SHARE_OP, box.REFS, box.ORDER) and call.slot in self.slots:
                call.argument = self.slots[call.slot].base
            self.history.append(call)
            self._replay_one(call, alone)
        del self.history[:-40]

    def _note(self, *arguments, **named):
        self.found.append(Violation(*arguments, **named))

    def _replay_one(self, call, alone):
        self.examined["leaves"] += 1
        if call.odd & (box.ODD_INTERRUPTS | box.ODD_LOCK):
            what = "left interrupts off" if call.odd & box.ODD_INTERRUPTS else "left a lock held"
            self._note("leaves", "interrupts on and no lock held after the call", f"it {what}", call=call)
        if call.op == box.ALLOC:
            self._alloc(call, alone)
        elif call.op == box.FREE:
            self._free(call)
        elif call.op == box.SHARE_OP and call.slot in self.slots:
            self.slots[call.slot].references += 1
        elif call.op == box.CHURN and call.value:
            self._note("harts", "each hart's marks in its own blocks", f"{call.value} blocks were written to by others", call=call)
        elif alone:
            self._ask(call)

    def _ask(self, call):
        block = self.slots.get(call.slot)
        if call.op == box.REFS and block:
            self._compare("references", block.references, call, block.base)
        elif call.op == box.ORDER and block:
            self._compare("counts", block.order, call, block.base)
        elif call.op == box.IS_ALLOCATED:
            inside = 0 <= call.argument - RAM < self.pages * PAGE and self.state[(call.argument - RAM) // PAGE] == USED
            self._compare("counts", int(inside), call, call.argument)
        elif call.op == box.FREE_COUNT and self.managed is not None:
            self._compare("counts", self.free_pages(), call)
        elif call.op == box.TOTAL_COUNT and self.managed is not None:
            self._compare("counts", self.managed, call)

    def _compare(self, check, expected, call, address=None):
        self.examined[check] += 1
        if call.value != expected:
            self._note(check, str(expected), f"got {call.value}", address=address, call=call)

    def _alloc(self, call, alone):
        struct.pack_into("<Q", self.mirror, 8 * call.slot, call.value)
        if call.order > box.MAX_ORDER:
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
        if call.flags & box.DMA:
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
        for page in range(self.pages):
            if self.state[page] == FREE:
                self.state[page] = BEYOND

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
