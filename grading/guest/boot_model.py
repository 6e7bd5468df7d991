"""The judge's own model of memblock: two lists of ranges, as Python's numbers are, which never wrap around.

Calls are replayed one after the other. While the guest is parked the lists in its memory are compared with these, range by range.
"""

import bisect
import collections
import struct

from guest import mailbox as box
from guest.verdicts import Violation

OPS = ("clear", "add", "reserve", "alloc", "alloc_high", "free", "rewind", "next_free", "end", "memory_bytes", "free_bytes")
(CLEAR, ADD, RESERVE, ALLOC, ALLOC_HIGH, FREE, REWIND, NEXT, END, MEMORY_BYTES,
 FREE_BYTES) = range(5 * box.GROUP, 5 * box.GROUP + len(OPS))   # grading/driver/boot.c
RANGES = 64        # MEMBLOCK_RANGES
SPACE = 1 << 64
NO_MORE = SPACE - 1


def describe(call):
    name = OPS[call.op - 5 * box.GROUP]
    if call.op == CLEAR:
        text = "an empty memblock"
    elif call.op in (ADD, RESERVE, FREE):
        text = f"memblock_{name}(0x{call.argument:x}, 0x{call.second:x} bytes)"
    elif call.op in (ALLOC, ALLOC_HIGH):
        text = f"memblock_{name}(0x{call.argument:x} bytes, align 0x{call.second:x})"
    elif call.op == REWIND:
        text = "cursor = 0"
    else:
        text = f"memblock_{name}()" if call.op != END else "  the range's end"
    if not call.end:
        return text + " does not return"
    if call.op in (ADD, RESERVE):
        return text + (" = true" if call.value == 1 else " = false")
    if call.op in (ALLOC, ALLOC_HIGH):
        return text + (f" = 0x{call.value:x}" if call.value else " = PA_NONE")
    if call.op == NEXT and call.value == NO_MORE:
        return text + " = false"
    return text + (f" = 0x{call.value:x}" if call.op in (NEXT, END, MEMORY_BYTES, FREE_BYTES) else "")


def spelled(ranges):
    return ", ".join(f"0x{start:x} to 0x{end:x}" for start, end in ranges) or "none"


class Ranges:
    """Rising, disjoint, merged."""

    def __init__(self):
        self.list = []

    def with_range(self, start, end):
        """What the list becomes."""
        met = [r for r in self.list if r[0] <= end and start <= r[1]]
        merged = (min([start] + [r[0] for r in met]), max([end] + [r[1] for r in met]))
        return sorted([r for r in self.list if r not in met] + [merged])

    def insert(self, start, size):
        """Whether it can be: else nothing changes."""
        if size == 0:
            return True
        new = self.with_range(start, start + size)
        if start + size >= SPACE or len(new) > RANGES:
            return False
        self.list = new
        return True

    def holding(self, start, end):
        return next((r for r in self.list if r[0] <= start and end <= r[1]), None)

    def after_removal(self, start, end):
        """What the list becomes when this part of one range is taken out."""
        whole = self.holding(start, end)
        rest = [r for r in self.list if r != whole]
        return sorted(rest + [r for r in ((whole[0], start), (end, whole[1])) if r[0] < r[1]])

    def total(self):
        return sum(end - start for start, end in self.list)


class Model:
    describe = staticmethod(describe)

    def __init__(self, guest):
        self.guest = guest
        self.memory, self.reserved = Ranges(), Ranges()
        self.at = guest.elf.physical("boot_memblock")
        self.walk = []        # what memblock_next_free has yet to tell
        self.last = (0, 0)    # the range that it told of last
        self.lists = "boot-lists"   # the check that a wrong list counts against
        self.slots, self.history, self.found = {}, [], []
        self.examined = collections.Counter()

    # --- what is right

    def free(self):
        found = []
        for start, end in self.memory.list:
            first = max(0, bisect.bisect_right(self.reserved.list, (start, 0)) - 1)
            for low, high in self.reserved.list[first:]:
                if low >= end:
                    break
                if low > start:
                    found.append((start, low))
                start = max(start, high)
            if start < end:
                found.append((start, end))
        return found

    def right_place(self, size, align, high):
        """Where it fits, or None. Address 0 is not given out."""
        for start, end in reversed(self.free()) if high else self.free():
            start = max(start, 1)
            place = (end - size) // align * align if high else -(-start // align) * align
            if place >= start and place + size <= end:
                return place
        return None

    # --- replay

    def replay(self, calls, alone):
        del alone
        for call in calls:
            self.history.append(call)
            self._replay_one(call)

    def _replay_one(self, call):
        if call.op == CLEAR:
            self.memory, self.reserved = Ranges(), Ranges()
        elif call.op in (ADD, RESERVE):
            self._insert(call)
        elif call.op in (ALLOC, ALLOC_HIGH):
            self._alloc(call)
        elif call.op == FREE and call.second:
            self.reserved.list = self.reserved.after_removal(call.argument, call.argument + call.second)
        elif call.op == REWIND:
            self.walk = self.free()
        elif call.op == NEXT:
            self.last = self.walk.pop(0) if self.walk else None
            self._compare("boot-free", self.last[0] if self.last else NO_MORE, call)
        elif call.op == END and self.last:
            self._compare("boot-free", self.last[1], call)
        elif call.op == MEMORY_BYTES:
            self._compare("boot-totals", self.memory.total(), call)
        elif call.op == FREE_BYTES:
            self._compare("boot-totals", sum(end - start for start, end in self.free()), call)

    def _compare(self, check, expected, call):
        self.examined[check] += 1
        if call.value != expected:
            names = {NO_MORE: "no further free range"} if call.op == NEXT else {}
            raise Violation(check, names.get(expected, f"0x{expected:x}"), names.get(call.value, f"got 0x{call.value:x}"),
                            expected if expected != NO_MORE else call.value, call, fatal=True)

    def _insert(self, call):
        ranges = self.memory if call.op == ADD else self.reserved
        if ranges.insert(call.argument, call.second):
            if call.value != 1:
                raise Violation("boot-lists", "true", "the range was refused", call.argument, call, fatal=True)
            return
        self.examined["boot-limits"] += 1
        if call.value:
            raise Violation("boot-limits", "false: " + ("it wraps around" if call.argument + call.second >= SPACE else "the list is full"),
                            "true", call.argument, call, fatal=True)

    def _alloc(self, call):
        size, align, high = call.argument, call.second, call.op == ALLOC_HIGH
        right = self.right_place(size, align, high) if size else None
        full = len(self.reserved.list) == RANGES
        which = "boot-high" if high else "boot-low"
        if not call.value:
            self.examined["boot-refusal"] += 1
            if right is not None and not full:
                raise Violation("boot-refusal", f"0x{right:x}: it fits there", "got PA_NONE", right, call, fatal=True)
            return
        self.examined["boot-given"] += 1
        place, end = call.value, call.value + size
        if size == 0 or not any(start <= place and end <= stop for start, stop in self.free()):
            raise Violation("boot-given", "free memory" if right is None else f"0x{right:x}",
                            f"got 0x{place:x} to 0x{end:x}, not all of which is free", place, call, fatal=True)
        if place % align:
            raise Violation("boot-given", f"a multiple of 0x{align:x}", f"got 0x{place:x}", place, call, fatal=True)
        if not full:
            self.examined[which] += 1
            if place != right:
                raise Violation(which, f"0x{right:x}", f"got 0x{place:x}", right, call, fatal=True)
        if not self.reserved.insert(place, size):
            raise Violation("boot-limits", "PA_NONE: there is no room for a further reservation", f"got 0x{place:x}", place, call,
                            fatal=True)

    # --- the lists, while the guest is parked

    def _read(self, which):
        data = self.guest.read(self.at + which * (8 + 16 * RANGES), 8 + 16 * RANGES)
        count = struct.unpack_from("<I", data)[0]
        return [struct.unpack_from("<2Q", data, 8 + 16 * i) for i in range(min(count, RANGES))], count

    def look(self):
        for which, ranges in enumerate((self.memory, self.reserved)):
            self.examined[self.lists] += 1
            found, count = self._read(which)
            if found == ranges.list and count == len(found):
                continue
            at = next((i for i, (a, b) in enumerate(zip(found, ranges.list)) if a != b), min(len(found), len(ranges.list)))
            should, there = ranges.list[at:at + 2], found[at:at + 2]
            raise Violation(self.lists, f"range {at} of {('memory', 'reserved')[which]}: {spelled(should)}; {len(ranges.list)} in all",
                            f"{spelled(there)}; {count} in all", (should or there or [(0, 0)])[0][0], self.history[-1], fatal=True)

    # --- for people

    def map_around(self, address, rows=9):
        """One line for each stretch between two edges: what it is, and what the guest's lists make of it."""
        if address is None:
            return ""
        lists = [self.memory.list, self.reserved.list, self._read(0)[0], self._read(1)[0]]
        edges = sorted({edge for ranges in lists for one in ranges for edge in one})
        here = bisect.bisect_right(edges, address)
        edges = edges[max(0, here - rows // 2):here + rows // 2 + 1]
        lines = [f"  {'from':<18} {'should be':<22} in the lists"]

        def what(at, memory, reserved):
            is_in = [any(start <= at < end for start, end in ranges) for ranges in (memory, reserved)]
            return {(0, 0): "nothing", (1, 0): "free memory", (0, 1): "reserved, no memory", (1, 1): "reserved memory"}[tuple(is_in)]
        for i, edge in enumerate(edges):
            mark = " <" if edge <= address and (i + 1 == len(edges) or address < edges[i + 1]) else ""
            lines.append(f"  0x{edge:<16x} {what(edge, *lists[:2]):<22} {what(edge, *lists[2:])}{mark}")
        return "\n".join(lines)
