"""The judge's own model of a heap: which blocks are in use, replayed from calls and results.

A block is certainly in use between the end of the call that returned it and the beginning of the one that takes it back (by the
driver's tickets), so blocks that overlap in the model were in use at the same time, for any number of harts. heap_realloc takes its
block back when it begins and has one again when it ends, the old one where it failed.

Blocks are reached by their virtual addresses, which the judge translates by walking the kernel's Sv39 table in the guest's RAM.
"""

import bisect
import collections
import struct

from guest import mailbox as box
from guest.machine import Ended
from guest.mailbox import PAGE, RAM
from guest.pages_model import DRAIN, FREE_COUNT, IS_ALLOCATED
from guest.verdicts import Violation

OPS = ("create", "alloc", "alloc_aligned", "alloc_zeroed", "realloc", "free", "usable", "trim", "free_at", "churn")
(CREATE, ALLOC, ALIGNED, ZEROED, REALLOC, FREE_OP, USABLE, TRIM, FREE_AT, CHURN) = range(box.HEAPS, box.HEAPS + len(OPS))   # driver/heaps.c
STAMP = 1
ALIGN = 16
SLACK = 64           # what a block may need on top: header, rounding, a rest too small to stand alone
RANDOM = 1 << 22     # bytes that patterns are cut from
POLICIES = ("first_fit", "next_fit", "best_fit", "worst_fit")


class Block:
    __slots__ = ("base", "bytes", "extent", "slot", "zero", "pattern", "kept", "known", "call")

    def __init__(self, base, call, size):
        self.base, self.bytes, self.extent, self.slot, self.call = base, size, size, call.slot, call
        self.zero = call.op == ZEROED
        self.pattern = None          # where the judge's pattern for it begins in the random bytes
        self.kept = None             # (pattern, bytes): what realloc had to keep
        self.known = bool(call.touch & STAMP)   # the driver's marks are in it: contents are its affair

    @property
    def end(self):
        return self.base + self.extent


def describe(call):
    def size():
        return f"{call.argument}" if call.argument < 1 << 40 else f"{call.argument:#x}"
    text = {CREATE: f"heap_create({name_in(call)}, {call.argument} bytes)", ALLOC: f"heap_alloc({size()})",
            ALIGNED: f"heap_alloc_aligned({size()}, {call.second:#x})", ZEROED: f"heap_alloc_zeroed({call.second}, {call.third})",
            REALLOC: f"heap_realloc({was(call)}, {size()})", FREE_OP: f"heap_free({was(call)})", USABLE: f"heap_usable({was(call)})",
            TRIM: "heap_trim()", FREE_AT: f"heap_free({call.argument:#x})", FREE_COUNT: "page_free_count()", DRAIN: "page_drain()",
            CHURN: f"blocks of up to {call.second + 16} bytes, taken and freed, {call.argument} rounds",
            IS_ALLOCATED: f"page_is_allocated({call.argument:#x})", **box.OWN_CALLS}.get(call.op, f"call {call.op}")
    if not call.end:
        text += " does not return"
    elif call.op in (ALLOC, ALIGNED, ZEROED, REALLOC, CREATE):
        text += f" = {call.value:#x}" if call.value else " = NULL"
    elif call.op in (USABLE, FREE_COUNT, IS_ALLOCATED):
        text += f" = {call.value}"
    return f"hart {call.hart}: {text}"


def was(call):
    """The block that a call was given: the model writes its address where the driver looks at nothing."""
    return f"{call.third:#x}" if call.third else f"block {call.slot}"


def name_in(call):
    return struct.pack("<2Q", call.second, call.third).rstrip(b"\0").decode(errors="replace")


class Model:
    describe = staticmethod(describe)

    def __init__(self, guest, policy):
        self.guest, self.policy = guest, policy   # policy: the heap's name when it is one of the four, else None
        self.blocks, self.bases, self.slots = {}, [], {}   # by address; addresses in order; by slot
        self.mirror = bytearray(box.SLOTS * 8)
        self.random = guest.rng.getrandbits(8 * RANDOM).to_bytes(RANDOM, "little")
        self.root, self.translated = None, {}
        self.taken = None            # a byte a page of RAM: somebody else's when the heap was made
        self.arena = (0, 0)          # while the heap has no other memory
        self.judges_choice = False   # only while no block lies elsewhere
        self.widest = None           # (bytes, start) of the widest gap inside one page, once it was looked for
        self.last = 0                # the block that was allocated last, with nothing else done since: next fit goes on there
        self.examined = collections.Counter()
        self.history, self.found = [], []

    # --- memory

    def translate(self, page):
        """The physical page behind a virtual one, None when there is none."""
        if page in self.translated:
            return self.translated[page]
        table, found = self.root, None
        for level in (2, 1, 0):
            at = table + (page >> 12 + 9 * level & 511) * 8
            if not RAM <= at < RAM + self.guest.memory:
                break
            entry = struct.unpack("<Q", self.guest.read(at, 8))[0]
            if not entry & 1:
                break
            target = (entry >> 10 & (1 << 44) - 1) << 12
            if entry & 0xe:
                found = target | page & (1 << 12 + 9 * level) - 1 if entry & 6 == 6 else None   # readable and writable
                break
            table = target
        if found is not None and not RAM <= found < RAM + self.guest.memory:
            found = None
        self.translated[page] = found
        return found

    def pieces(self, address, size):
        """(physical address, bytes) of the parts of a range of virtual addresses, one for each run of neighbouring pages."""
        found, end = [], address + size
        while address < end:
            page = self.translate(address & -PAGE)
            if page is None:
                raise Violation("heap-range", "memory that the kernel's page table maps", f"0x{address:x} is not mapped", address,
                                fatal=True)
            count, at = min(end - address, PAGE - address % PAGE), page + address % PAGE
            if found and found[-1][0] + found[-1][1] == at:
                found[-1] = (found[-1][0], found[-1][1] + count)
            else:
                found.append((at, count))
            address += count
        return found

    def read(self, address, size):
        return b"".join(self.guest.read(at, count) for at, count in self.pieces(address, size))

    def write(self, address, data):
        done = 0
        for at, count in self.pieces(address, len(data)):
            self.guest.write(at, data[done:done + count])
            done += count

    # --- replay

    def replay(self, calls, alone):
        """All calls of a batch, by tickets. alone: one hart made them, so refusals and choices are exact, too."""
        events = []
        for order, call in enumerate(calls):
            if not call.begin < call.end:
                raise Ended("tampered", "results were changed by the guest: they are not in the order of the calls")
            if call.op in (FREE_OP, REALLOC):
                events.append((call.begin, order, self._leave, call))
            if call.op != FREE_OP:
                events.append((call.end, order, self._replay_one, call))
        for _, _, function, call in sorted(events, key=lambda event: event[:2]):
            function(call, alone)
        for page in [page for page in self.translated if page >= box.LINEAR + (1 << 37)]:   # what vmalloc maps changes
            del self.translated[page]

    def _note(self, *arguments, **named):
        self.found.append(Violation(*arguments, **named))

    def _leave(self, call, alone):
        """free, or the beginning of realloc: the block is not in use any more."""
        del alone
        block = self.slots.pop(call.slot, None)
        if call.op == FREE_OP:
            self._record(call)
        if not block:
            return
        call.third = block.base
        if call.odd & box.ODD_STAMP:
            self._note("heap-harts" if self.guest.harts > 1 else "heap-contents", "the owner's marks in the block",
                       "somebody wrote over them", address=block.base, call=call)
        self._remove(block)
        self.last = 0
        call.hold = block

    def _record(self, call):
        self.history.append(call)
        self.examined["leaves"] += 1
        if call.odd & (box.ODD_INTERRUPTS | box.ODD_LOCK):
            what = "left interrupts off" if call.odd & box.ODD_INTERRUPTS else "left a lock held"
            self._note("leaves", "interrupts on and no lock held after the call", f"it {what}", call=call)

    def _replay_one(self, call, alone):
        self._record(call)
        if call.op in (ALLOC, ALIGNED, ZEROED):
            if call.value:
                self._enter(Block(call.value, call, call.argument), call, alone)
            elif alone:
                self._refused(call)
            struct.pack_into("<Q", self.mirror, call.slot * 8, call.value)
        elif call.op == REALLOC and call.value != box.SKIPPED:
            self._reallocated(call, alone)
        elif call.op == USABLE and call.slot in self.slots and alone:
            self._usable(self.slots[call.slot], call)
        elif call.op == CHURN and call.value:
            self._note("heap-harts", "each hart's marks in its own blocks", f"{call.value} blocks were written to by others", call=call)
        elif call.op == TRIM:
            self.last = 0

    def _reallocated(self, call, alone):
        old = call.hold
        if not call.value:
            self.examined["heap-realloc"] += 1
            if call.argument <= old.bytes:
                self._note("heap-realloc", f"a block that shrinks from {old.bytes} to {call.argument} bytes is never refused", "NULL",
                           address=old.base, call=call)
            self._insert(old, call)
            return
        new = Block(call.value, call, call.argument)
        kept = (old.pattern, old.bytes) if old.pattern is not None else old.kept
        if kept:
            new.kept = (kept[0], min(kept[1], new.bytes))
        self._enter(new, call, alone, moved=call.value != old.base)
        struct.pack_into("<Q", self.mirror, call.slot * 8, call.value)

    def _usable(self, block, call):
        self.examined["heap-usable"] += 1
        call.third = block.base
        if not block.bytes <= call.value <= 2 * block.bytes + 2 * PAGE:
            self._note("heap-usable", f"at least the {block.bytes} bytes that were asked for", f"heap_usable says {call.value}",
                       address=block.base, call=call)
            return
        block.extent = call.value
        at = bisect.bisect_right(self.bases, block.base)
        if at < len(self.bases) and self.bases[at] < block.end:
            raise Violation("heap-disjoint", f"{call.value} usable bytes from 0x{block.base:x} on",
                            f"the block at 0x{self.bases[at]:x} begins among them", block.base, call, fatal=True)

    # --- blocks

    def _enter(self, block, call, alone, moved=True):
        align = max(ALIGN, call.second if call.op == ALIGNED else 0)
        for check in ("heap-range", "heap-aligned", "heap-disjoint"):
            self.examined[check] += 1
        if block.base % align:
            self._note("heap-aligned", f"a multiple of {align}", f"0x{block.base:x}", address=block.base, call=call)
        for page in range(block.base & -PAGE, block.base + block.bytes, PAGE):
            target = self.translate(page)
            if target is None:
                raise Violation("heap-range", "a block of mapped memory", f"0x{max(page, block.base):x} is not mapped", block.base, call,
                                fatal=True)
            if self.taken is not None and self.taken[(target - RAM) // PAGE]:
                raise Violation("heap-range", "a block of the heap's own memory",
                                f"0x{max(page, block.base):x} belongs to somebody else: it was in use before the heap was made",
                                block.base, call, fatal=True)
        if self.judges_choice and alone and moved:
            self._judge_choice(block, call, align)
        self._insert(block, call)
        self.last = block.base

    def _insert(self, block, call):
        at = bisect.bisect_left(self.bases, block.base)
        for near in (at - 1, at):
            if not 0 <= near < len(self.bases):
                continue
            other = self.blocks[self.bases[near]]
            if other.base < block.base + block.bytes and block.base < other.base + other.bytes:
                raise Violation("heap-disjoint", f"{block.bytes} bytes that nobody uses",
                                f"0x{block.base:x} overlaps the block of {other.bytes} bytes at 0x{other.base:x} ({describe(other.call)})",
                                max(block.base, other.base), call, fatal=True)
        self.bases.insert(at, block.base)
        self.widest = None
        self.blocks[block.base] = self.slots[block.slot] = block

    def _remove(self, block):
        self.widest = None
        del self.blocks[block.base]
        del self.bases[bisect.bisect_left(self.bases, block.base)]

    # --- what is free: the gaps between live blocks

    def gaps(self):
        """(start, end) between neighbours in the arena, and above the last one."""
        low, high = self.arena
        inside = [self.blocks[base] for base in self.bases if low <= base < high]
        return [(one.end, other.base) for one, other in zip(inside, inside[1:])] + ([(inside[-1].end, high)] if inside else [])

    def _judge_choice(self, block, call, align):
        if not self.arena[0] <= block.base < block.base + block.bytes <= self.arena[1]:   # the heap has other holes from now on
            self.judges_choice = False
            return
        gaps = self.gaps()
        chosen = next((gap for gap in gaps if gap[0] <= block.base < gap[1]), None)
        if not chosen:   # below all others: the heap's own records may begin anywhere there
            return
        self.examined["heap-policy"] += 1
        need, size = block.bytes + (2 * align if align > ALIGN else 0), chosen[1] - chosen[0]
        for start, end in gaps:
            if (start, end) == chosen or end - start - SLACK < need:
                continue
            wrong = {"first_fit": end <= block.base, "best_fit": end - start + SLACK < size, "worst_fit": end - start > size + SLACK,
                     "next_fit": self._sooner(start, end, block.base)}[self.policy]
            if wrong:
                self._note("heap-policy", f"{self.policy}: the hole of {end - start} bytes at 0x{start:x}"
                           + (f"; the last block is at 0x{self.last:x}" if self.policy == "next_fit" else ""),
                           f"the hole of {size} bytes at 0x{chosen[0]:x}", address=block.base, call=call)
                return

    def _sooner(self, start, end, base):
        """Whether next fit, from the last block on, meets that hole before this one."""
        if not self.last:
            return False
        return start > self.last and end < base if base > self.last else start > self.last or end < base

    def _refused(self, call):
        """Only a hole between two blocks of one page can be known to be the heap's. What begins where a page does may be records."""
        if not self.policy or call.argument > PAGE or call.argument == 0:
            return
        self.examined["heap-refusal"] += 1
        need = call.argument + SLACK + (2 * call.second if call.op == ALIGNED else 0)
        if not self.widest:
            ends = [block.end for block in map(self.blocks.get, self.bases)]
            inside = [(base - end, end) for end, base in zip(ends, self.bases[1:]) if (end - 1) // PAGE == base // PAGE]
            self.widest = max(inside, default=(0, 0))
        size, end = self.widest
        if size >= need:
            self._note("heap-refusal", f"a block: {size} bytes are free at 0x{end:x}", "NULL", address=end, call=call)

    # --- contents, while the guest is parked

    def look(self):
        """At all that is in use: zeroed where asked, kept where moved, untouched where we wrote before. Then all of it has our pattern."""
        if self.guest.read(self.guest.place + box.SLOTS_AT, box.SLOTS * 8) != self.mirror:
            raise Ended("tampered", "the list of blocks was changed by the guest")
        for block in self.blocks.values():
            if block.known:
                continue
            if block.pattern is not None:
                self._verify(block, "heap-contents", block.pattern, block.bytes, "what the owner wrote")
                continue
            if block.zero:
                self._look_zero(block)
            if block.kept:
                self._verify(block, "heap-realloc", *block.kept, f"the {block.kept[1]} bytes of the old block")
            block.pattern, block.kept = self.guest.rng.randrange(0, RANDOM - block.bytes), None
            self.write(block.base, self.random[block.pattern:block.pattern + block.bytes])

    def _verify(self, block, check, pattern, size, expected):
        self.examined[check] += 1
        data, wanted = self.read(block.base, size), self.random[pattern:pattern + size]
        if data != wanted:
            at = next(i for i in range(size) if data[i] != wanted[i])
            self._note(check, expected, f"byte {at} of the block at 0x{block.base:x} is another", address=block.base + at, call=block.call)
            self.write(block.base, wanted)

    def _look_zero(self, block):
        self.examined["heap-zero"] += 1
        data = self.read(block.base, block.bytes)
        if data.count(0) != block.bytes:
            at = next(i for i in range(block.bytes) if data[i])
            self._note("heap-zero", "zeroes only", f"byte {at} of the block at 0x{block.base:x} is 0x{data[at]:02x}",
                       address=block.base + at, call=block.call)

    # --- for people

    def map_around(self, address, rows=3, width=64):
        if address is None or self.root is None or self.translate(address & -PAGE) is None:
            return ""
        near = sum(1 for base in self.bases if abs(base - address) < width * 24)
        unit = 16 if near >= 3 else 64 if near else 1024
        first = address // unit // width * width * unit - rows // 2 * width * unit
        lines = []
        for start in range(first, first + rows * width * unit, width * unit):
            row = ["."] * width
            for base in self.bases[max(0, bisect.bisect_left(self.bases, start) - 1):bisect.bisect_left(self.bases, start + width * unit)]:
                block = self.blocks[base]
                for cell in range(max(0, (base - start) // unit), min(width, (block.end - 1 - start) // unit + 1)):
                    row[cell] = "[" if cell == (base - start) // unit else "#"
            lines.append(f"  {start:#x} " + "".join(row))
            if start <= address < start + width * unit:
                lines.append(" " * (21 + (address - start) // unit) + f"^ {address:#x}")
        return "\n".join(lines + [f"  one sign for {unit} bytes: [## a block, . free or the heap's own"])
