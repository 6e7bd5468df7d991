"""The judge's own model of a page table: what every page of a small universe translates to, and what calls have to answer.

Memory's side of it comes from a walk of the tables in guest RAM, from the root on, by the manual's rules; and from what harts could do with
addresses when the driver tried.

    universe    [16 pages | 3 places of 2 MiB | 16 pages] around 1 GiB
"""

import collections
import struct

from guest import mailbox as box
from guest.mailbox import PAGE, RAM
from guest.pages_model import FREE_COUNT
from guest.verdicts import Violation

OPS = ("create", "enter", "leave", "map", "map_range", "unmap", "protect", "destroy", "probe", "watch", "eat", "spit", "root", "pages",
       "data", "asid")
(CREATE, ENTER, LEAVE, MAP, MAP_RANGE, UNMAP, PROTECT, DESTROY, PROBE, WATCH, EAT, SPIT, ROOT, PAGES, DATA, ASID) = \
    range(4 * box.GROUP, 4 * box.GROUP + len(OPS))   # grading/driver/tables.c
V, R, W, X, U, G, A, D, COW, DIRTY = 1, 2, 4, 8, 16, 32, 64, 128, 256, 512
RIGHTS = R | W | X | U | G
OK, NO_MEMORY, BUSY = range(3)
RESULTS = ("TABLE_OK", "TABLE_NO_MEMORY", "TABLE_BUSY")
CAN_LOAD, CAN_STORE = 1, 2
LOG_FLUSH, LOG_LEAF, LOG_ENTRIES = 1, 2, 4096
EDGE, LARGE = 16, 512
UNIVERSE = 2 * EDGE + 3 * LARGE
BASE = (1 << 30) - EDGE * PAGE
WHOLE = 1 << 20   # a flush of so many pages is one of everything


def letters(bits):
    return "".join(name if bits & bit else "-" for name, bit in zip("rwxugc", (R, W, X, U, G, COW)))


def describe(call):
    if call.op in box.OWN_CALLS:
        return f"hart {call.hart}: {box.OWN_CALLS[call.op]}"
    if not CREATE <= call.op <= ASID:
        return f"hart {call.hart}: page_free_count() = {call.value}"
    name, answer = OPS[call.op - CREATE], ""
    if call.op == MAP:
        text = f"table_map(0x{call.argument:x} -> 0x{call.second:x}, level {call.flags}, {letters(call.third)})"
    elif call.op == MAP_RANGE:
        text = f"table_map_range(0x{call.argument:x} -> 0x{call.second:x}, {call.third >> 16} pages, {letters(call.third)})"
    elif call.op == UNMAP:
        text = f"table_unmap(0x{call.argument:x}, {call.second // PAGE} pages)"
    elif call.op == PROTECT:
        text = f"table_protect(0x{call.argument:x}, {call.second // PAGE} pages, {letters(call.third)})"
    elif call.op == PROBE:
        text = f"0x{call.argument:x} is used"
        answer = ": " + ("page faults", "can load", "can store", "can load and store")[call.value & 3]
    elif call.op == EAT:
        text = f"all free pages but {call.argument} are taken"
    else:
        text = {ENTER: "translates through the table", LEAVE: "leaves the table", SPIT: "the pages come back", WATCH: "watches an address",
                CREATE: "table_create", DESTROY: "table_destroy"}.get(call.op, f"asks for {name}")
    if not call.end:
        answer = " does not return"
    elif call.op in (MAP, MAP_RANGE, UNMAP, PROTECT):
        answer = " = " + (RESULTS[call.value] if call.value < 3 else hex(call.value))
    return f"hart {call.hart}: {text}{answer}"


class Model:
    """One table at a time, number 0."""
    describe = staticmethod(describe)

    def __init__(self, guest):
        self.guest, self.slots = guest, {}
        self.history, self.found, self.examined = [], [], collections.Counter()
        self.root = None             # of the table, a physical address
        self.kernel_root = None
        self.pages, self.size = {}, {}   # page of the universe: (pa, bits); first page of a leaf: its level
        self.table_pages = None      # page_free_count() while the root was the only table
        self.room = None             # free pages, when they were taken away
        self.log_seen = 0
        self.log_at = guest.elf.physical("tables_log")
        self.inside = set()          # harts that have entered
        self.watched = []
        self.asid, self.free = None, None   # the table's number; free pages as last counted

    # --- memory's side

    def entry(self, table, index):
        return struct.unpack("<Q", self.guest.read(table + 8 * index, 8))[0]

    def _is_page(self, pa):
        return pa % PAGE == 0 and RAM <= pa < RAM + self.guest.memory

    def walk(self):
        """({page of the address space: (pa, bits)}, {first page: level}, tables below the root, problem) of the lower half."""
        return self.walk_from(self.root)

    def walk_from(self, root):
        leaves, sizes, tables, problem = {}, {}, 0, None
        todo = [(root, 2, 0)]
        while todo:
            at, level, first = todo.pop()
            used, span = 0, 512 ** level
            entries = struct.unpack("<512Q", self.guest.read(at, PAGE))
            for index in range(256 if level == 2 else 512):
                entry = entries[index]
                if not entry & V:
                    continue
                used += 1
                page, pa = first + index * span, (entry >> 10 & (1 << 44) - 1) << 12
                if entry >> 54 or entry & W and not entry & R:
                    problem = problem or (page, f"the entry 0x{entry:x} is reserved by the manual")
                if entry & (R | X):
                    if pa % (span * PAGE):
                        problem = problem or (page, f"the leaf's physical address 0x{pa:x} is not aligned to its size")
                    sizes[page] = level
                    if level < 2:
                        leaves.update((page + i, (pa + i * PAGE, entry & 0x3ff)) for i in range(span))
                    else:
                        leaves[page] = (pa, entry & 0x3ff)
                elif level == 0 or not self._is_page(pa) or tables > 4000:
                    problem = problem or (page, f"the entry 0x{entry:x} points to no table")
                else:
                    tables += 1
                    todo.append((pa, level - 1, page))
            if not used and at != root:
                problem = problem or (first, f"the table at 0x{at:x} is empty, and still linked")
        return leaves, sizes, tables, problem

    def look(self):
        """The whole table against the model."""
        if self.root is None:
            return
        leaves, sizes, tables, problem = self.walk()
        first = BASE // PAGE
        self.examined["map-exact"] += 1
        mine = {first + page: (pa, bits | V | A | D) for page, (pa, bits) in self.pages.items()}
        if leaves != mine:
            page = next(p for p in sorted(leaves.keys() | mine.keys()) if leaves.get(p) != mine.get(p))
            self._note("map-exact", self._tell(mine.get(page)), self._tell(leaves.get(page)), page * PAGE)
        elif problem:
            self._note("table-pages", "tables as the manual draws them, none without an entry", problem[1], problem[0] * PAGE)
        for index in range(256, 512):
            if self.entry(self.root, index) != self.entry(self.kernel_root, index):
                self._note("kernel-half", f"root entry {index} is 0x{self.entry(self.kernel_root, index):x}",
                           f"it is 0x{self.entry(self.root, index):x}")
                break
        self.examined["kernel-half"] += 1
        self.walked = tables

    @staticmethod
    def _tell(leaf):
        return f"a leaf -> 0x{leaf[0]:x} {letters(leaf[1])} with bits 0x{leaf[1]:x}" if leaf else "nothing is mapped there"

    def _note(self, check, expected, actual, address=None, call=None):
        self.found.append(Violation(check, expected, actual, address, call))

    # --- replay

    def replay(self, calls, alone):
        for call in sorted(calls, key=lambda one: one.end):
            self.history.append(call)
            self._one(call)

    def _one(self, call):
        if call.odd & (box.ODD_INTERRUPTS | box.ODD_LOCK):
            self._note("table-leaves", "interrupts on and no lock held after the call", "it left something", call=call)
        self.examined["table-leaves"] += 1
        if call.op == FREE_COUNT:
            self.free = call.value
        elif CREATE <= call.op <= ASID and call.order:
            return   # another table's: tables.py looks after that one
        elif call.op == ASID:
            self.asid = call.value
        elif call.op == ENTER:
            self.inside.add(call.hart)
        elif call.op == LEAVE:
            self.inside.discard(call.hart)
        elif call.op == ROOT:
            self.root = call.value
        elif call.op == EAT:
            self.room = call.argument
        elif call.op == SPIT:
            self.room = None
        elif call.op == PROBE:
            self._probe(call)
        elif call.op == WATCH:
            self.watched = self.watched + [call.argument] if call.argument else []
        elif call.op == MAP:
            self._map(call)
        elif call.op == MAP_RANGE:
            self._map_range(call)
        elif call.op in (UNMAP, PROTECT, DESTROY):
            self._change(call)

    def page_of(self, va):
        return (va - BASE) // PAGE

    def _may(self, page):
        bits = self.pages.get(page, (0, 0))[1]
        return (CAN_LOAD if bits & R else 0) | (CAN_STORE if bits & W else 0)

    def _probe(self, call):
        if call.hart not in self.inside:
            return
        may = self._may(self.page_of(call.argument))
        self.examined["flushed"] += 1
        if call.value & ~may:
            what = "store" if call.value & ~may & CAN_STORE else "load"
            self._note("flushed", "a page fault", f"hart {call.hart} can still {what} there: it was not told to forget",
                       call.argument, call)
        if may & ~call.value:
            self._note("map-exact", "the access works", "a page fault", call.argument, call)

    # --- what calls must answer

    def tables_needed(self, first, count, level):
        """Tables that a mapping of these pages needs and that are not there: at level 1 for each 1 GiB, at level 0 for each 2 MiB."""
        absolute = BASE // PAGE
        there = set()
        for page, size in self.size.items():
            there.add((1, (absolute + page) >> 18))
            if size == 0:
                there.add((0, (absolute + page) >> 9))
        wanted = set()
        for page in range(first, first + count, 512 ** level):
            wanted.add((1, (absolute + page) >> 18))
            if level == 0:
                wanted.add((0, (absolute + page) >> 9))
        return len(wanted - there)

    def _answer(self, call, expected):
        self.examined["table-result"] += 1
        if call.value not in expected:
            self._note("table-result", " or ".join(RESULTS[e] for e in sorted(expected)),
                       RESULTS[call.value] if call.value < 3 else hex(call.value), call.argument, call)

    def _map(self, call):
        page, level = self.page_of(call.argument), call.flags
        count = 512 ** level
        busy = any(page + i in self.pages for i in range(count)) or (level == 1 and any(page <= p < page + count for p in self.size))
        if busy:
            expected = {BUSY}
        elif self.room is not None and self.tables_needed(page, 1, level) > self.room:
            expected = {NO_MEMORY}
        else:
            expected = {OK}
        self._answer(call, expected)
        if call.value == OK:
            self._enter(page, call.second, call.third, level)

    def _enter(self, page, pa, bits, level):
        for i in range(512 ** level):
            self.pages[page + i] = (pa + i * PAGE, bits)
        self.size[page] = level

    def _map_range(self, call):
        page, count, bits = self.page_of(call.argument), call.third >> 16, call.third & 0xffff
        if any(page + i in self.pages for i in range(count)):
            expected = {BUSY} if self.room is None else {BUSY, NO_MEMORY}
        else:
            expected = {OK} if self.room is None else {OK, NO_MEMORY}
        self._answer(call, expected)
        self._new_entries()   # what it mapped and took off again is its own affair
        if call.value != OK:
            return
        done = 0
        while done < count:
            both = call.argument // PAGE + done | call.second // PAGE + done
            level = 1 if both % LARGE == 0 and count - done >= LARGE else 0
            self._enter(page + done, call.second + done * PAGE, bits, level)
            done += 512 ** level

    def _change(self, call):
        entries = self._new_entries()
        if call.op == DESTROY:
            first, last = 0, UNIVERSE
        else:
            first, last = self.page_of(call.argument), self.page_of(call.argument + call.second)
        across = [page for page, level in self.size.items() if level and (page < first < page + LARGE or page < last < page + LARGE)]
        if call.op != DESTROY:
            enough = self.room is None or not across or self.room >= 4
            self._answer(call, {OK} if enough else {NO_MEMORY} if self.room < len(across) else {OK, NO_MEMORY})
        if call.value != OK and call.op != DESTROY:
            if any(kind & 255 == LOG_LEAF for kind, *_ in entries):
                self._note("released", "nothing is released when memory runs out", "a leaf was", call.argument, call)
            return
        for page in across:   # split in two steps of the model: what stays are small leaves
            del self.size[page]
            self.size.update((page + i, 0) for i in range(LARGE))
        inside = {p: leaf for p, leaf in self.pages.items() if first <= p < last}
        if call.op == PROTECT:
            self._protect(call, inside, entries)
        else:
            self._remove(call, inside, entries, first, last)

    def _new_entries(self):
        count = struct.unpack("<Q", self.guest.read(self.log_at, 8))[0]
        found = []
        for i in range(max(self.log_seen, count - LOG_ENTRIES), count):
            found.append(struct.unpack("<4Q", self.guest.read(self.log_at + 8 + 32 * (i % LOG_ENTRIES), 32)))
        self.log_seen = count
        return found

    def _protect(self, call, inside, entries):
        lost = sorted(p for p, (_, bits) in inside.items() if bits & ~call.third & RIGHTS or ~bits & call.third & U)
        for page, (pa, bits) in inside.items():
            self.pages[page] = (pa, bits & ~(RIGHTS | COW) | call.third)
        self._flushes(call, entries, lost, tables_went=False)

    def _remove(self, call, inside, entries, first, last):
        leaves = sorted((page, level) for page, level in self.size.items() if first <= page < last)
        if not call.touch:   # nothing was written down
            for page, _ in leaves:
                del self.size[page]
            for page in inside:
                del self.pages[page]
            return
        released = [(first_word, second, kind) for kind, first_word, second, _ in entries if kind & 255 == LOG_LEAF]
        self.examined["released"] += len(leaves) + 1
        want = [(BASE + page * PAGE, self.pages[page][0], level) for page, level in leaves]
        got = [(va, (pte >> 10 & (1 << 44) - 1) << 12, kind >> 8 & 255) for va, pte, kind in released]
        if (sorted(got) if call.op == DESTROY else got) != want:
            odd = next((i for i, pair in enumerate(zip(got, want)) if pair[0] != pair[1]), min(len(got), len(want)))
            tell = [f"0x{part[odd][0]:x} -> 0x{part[odd][1]:x} at level {part[odd][2]}" if odd < len(part) else "no more"
                    for part in (want, got)]
            self._note("released", f"leaves in rising order, each once; number {odd + 1}: {tell[0]}", tell[1], call.argument, call)
        if call.op == UNMAP and call.hart in self.inside:
            still = next((va for va, _, kind in released if kind >> 16 & 3), None)
            if still is not None:
                self._note("flushed", "no hart can reach a page any more when it is released",
                           f"hart {call.hart} still can: the flush must come before the release", still, call)
        before = {(BASE // PAGE + p) >> 9 for p, size in self.size.items() if size == 0}
        for page, _ in leaves:
            del self.size[page]
        for page in inside:
            del self.pages[page]
        after = {(BASE // PAGE + p) >> 9 for p, size in self.size.items() if size == 0}
        if call.op == UNMAP:
            self._flushes(call, entries, sorted(inside), tables_went=before != after)

    def _flushes(self, call, entries, lost, tables_went):
        flushes = [(kind >> 8 & 0xffffffff, start, pages) for kind, start, pages, _ in entries if kind & 255 == LOG_FLUSH]
        numbers = [asid for kind, _, _, asid in entries if kind & 255 == LOG_FLUSH]
        wrong = next((asid for asid in numbers if self.asid is not None and asid != self.asid), None)
        freed = max((kind >> 40 for kind, *_ in entries if kind & 255 == LOG_FLUSH), default=0) - (self.free or 1 << 24)
        if not call.touch or not self.inside:
            return
        self.examined["flush-range"] += 1
        if not lost:
            if flushes:
                self._note("flush-range", "no flush: nothing has lost a right", f"{len(flushes)}", call.argument, call)
            return
        if wrong is not None:
            self._note("flush-range", f"a flush of the table's own number, {self.asid:#x}", f"of {wrong:#x}", call.argument, call)
        if freed > 0:
            self._note("flushed", "table pages are given back after the flush: until then a hart may walk through them",
                       f"{freed} were free before it", call.argument, call)
        if len(flushes) > 1:
            self._note("flush-range", "one flush for the whole call", f"{len(flushes)} flushes", call.argument, call)
        low, high = BASE + lost[0] * PAGE, BASE + (lost[-1] + 1) * PAGE
        harts = sum(1 << hart for hart in self.inside)
        covered = any(mask & harts == harts and start <= low and (pages >= WHOLE or start + pages * PAGE >= high)
                      for mask, start, pages in flushes)
        if not covered:
            told = "; ".join(f"0x{start:x}, {pages} pages, harts {mask:#x}" for mask, start, pages in flushes) or "none"
            self._note("flush-range", f"a flush from 0x{low:x} to 0x{high:x} on harts {harts:#x}", told, low, call)
        elif tables_went and not any(pages >= WHOLE for _, _, pages in flushes):
            self._note("flush-range", "a flush of the whole address space, since a table went", "one of some pages only", low, call)

    # --- for people

    def map_around(self, address):
        """The walk to an address, level by level."""
        if address is None or self.root is None or address >> 38:
            return ""
        lines, at = [f"address 0x{address:x}"], self.root
        for level in (2, 1, 0):
            index = address >> 12 + 9 * level & 511
            entry = self.entry(at, index)
            pa = (entry >> 10 & (1 << 44) - 1) << 12
            line = f"level {level}  table 0x{at:x}, entry {index:3}: "
            if not entry & V:
                lines.append(line + ("not valid, but not zero" if entry else "empty"))
                break
            if entry & (R | X):
                lines.append(line + f"leaf of {('4 KiB', '2 MiB', '1 GiB')[level]} -> 0x{pa:x} {letters(entry)}")
                break
            lines.append(line + f"table at 0x{pa:x}")
            if not self._is_page(pa):
                break
            at = pa
        leaf = self.pages.get(self.page_of(address))
        return "\n".join(lines + ["should be -> " + (f"0x{leaf[0]:x} {letters(leaf[1])}" if leaf else "nothing")])
