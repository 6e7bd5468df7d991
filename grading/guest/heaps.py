"""The subject "heaps": the plans for the kernel's heaps: which calls are made, in which machines, and which check each of them serves.

A scenario is one boot (misuse: one for each kind; costs: two, and the reference's beside). The heap gets an arena from port_reserve and
grows as the kernel's own does. Which pages of the machine are its own is known by asking page_is_allocated for all of them before it is
made, and for those that its blocks lie in afterwards.
"""

import random
import struct

from guest import mailbox as box
from guest.heaps_costs import costs
from guest.heaps_model import (ALIGN, ALIGNED, ALLOC, CHURN, CREATE, FREE_AT, FREE_OP, POLICIES, REALLOC, STAMP, TRIM, USABLE, ZEROED,
                               Model)
from guest.machine import Ended, Guest
from guest.mailbox import Call
from guest.pages_model import DRAIN, FREE_COUNT, IS_ALLOCATED
from guest.run import Run
from guest.verdicts import Violation

KIB, MIB = 1 << 10, 1 << 20

# check: (the invariant in a sentence, where to look)
CHECKS = {
    "heap-start": ("heap_create makes a heap in the arena that it is given.", "create add_piece slab_create"),
    "heap-range": ("Each block lies in the heap's arena or in pages that the heap has taken.", "add_piece carve list_alloc slab_alloc"),
    "heap-aligned": ("A block is aligned to HEAP_ALIGN, or as was asked for.", "front_for leave_front list_alloc slab_alloc"),
    "heap-disjoint": ("No byte belongs to two blocks at the same time.", "carve split insert list_alloc slab_alloc"),
    "heap-contents": ("Nobody but its owner writes to a block while it is in use.", "carve split insert list_free slab_free"),
    "heap-zero": ("heap_alloc_zeroed gives memory of which every byte is zero, also where it was used before.", "heap_alloc_zeroed carve"),
    "heap-usable": ("heap_usable tells at least what was asked for, and nobody else has those bytes.", "list_usable slab_usable"),
    "heap-realloc": ("heap_realloc keeps the bytes that fit into both sizes; on failure the old block is as it was.",
                     "list_resize slab_resize heap_realloc_for"),
    "heap-edges": ("What cannot be had is refused: no bytes, too many, products that overflow, alignments beyond memory.",
                   "length_for grow list_alloc slab_alloc"),
    "heap-refusal": ("Memory is refused only when no hole is large enough and no page is left.", "grow choose list_alloc slab_alloc"),
    "heap-coalesce": ("When everything was given back, in any order, the arena is one hole again.", "absorb insert list_free"),
    "heap-lost": ("After many rounds as many blocks fit as before.", "insert carve list_free slab_free"),
    "heap-trim": ("When nothing is in use, trim gives all pages but the arena back.", "cut list_trim slab_trim"),
    "heap-policy": ("Each block is taken from the hole that the heap's policy says.", "next_fit extreme first_from choose"),
    "heap-harts": ("Any number of harts may call at the same time: no block is given out twice, none is lost.",
                   "list_alloc list_free slab_alloc"),
    "heap-double-free": ("Freeing a block that is free already is noticed at that call.", "is_live blame list_free slab_free"),
    "heap-free-inside": ("Freeing an address inside a block is noticed at that call.", "is_live blame list_free slab_free"),
    "heap-free-misaligned": ("Freeing an address that no block can have is noticed at that call.", "is_live blame list_free slab_free"),
    "heap-free-foreign": ("Freeing memory that is not the heap's is noticed at that call.", "is_live blame list_free slab_free"),
    "heap-cost": ("A call costs at most twelve times the instructions that it costs in the reference.",
                  "first_from extreme insert carve list_alloc"),
    "heap-growth": ("With four times the blocks a call costs at most about four times as much, or twice the reference's growth.",
                    "first_from extreme insert link_above list_alloc"),
    "heap-memory": ("The pages that the heap takes are used as well as in the reference, or nearly.", "grow carve insert list_alloc"),
    "leaves": ("A call leaves interrupts as it found them and no lock held.", "list_alloc slab_alloc"),
}


class HeapsRun(Run):
    """A boot in which a heap is made and used."""

    def boot(self, arena=256 * KIB):
        self.guest.boot()
        name = self.guest.config["heap"]
        self.model = Model(self.guest, name if name in POLICIES else None)
        self.model.root = self.start_tables("heap-start")
        taken = self._taken()
        words = struct.unpack("<2Q", name.encode().ljust(16, b"\0"))
        call = Call(CREATE, argument=arena, second=words[0], third=words[1])
        self.batch([call, Call(TRIM)], look=False)   # which may also give back what caches had before
        self.model.taken = bytes(a & b for a, b in zip(taken, self._taken()))
        pages = range(call.value, call.value + arena, box.PAGE)
        if not call.value or call.value % box.PAGE or any(self.model.translate(page) is None or
                                                                     taken[(page - box.LINEAR - box.RAM) // box.PAGE] for page in pages):
            raise Violation("heap-start", f"a heap in an arena of {arena} bytes", f"heap_create returned 0x{call.value:x}", call=call,
                            fatal=True)
        self.model.arena = (call.value, call.value + arena)
        self.free_then = self.count_pages()
        self.model.examined["heap-start"] += 1

    def _taken(self):
        """A byte a page of RAM: whether it is anybody's before there is a heap."""
        count = self.guest.memory // box.PAGE
        calls = [Call(IS_ALLOCATED, argument=box.RAM + i * box.PAGE) for i in range(count)]
        self.batch(calls, look=False)
        taken = bytearray(call.value & 1 for call in calls)
        tree = self.guest.word(box.TREE)
        for start, size in ((box.RAM, 512 * KIB), (self.guest.place, box.BYTES), (tree & -box.PAGE, box.PAGE),
                            (self.guest.elf.physical("kernel_start"), self.guest.code_end - self.guest.elf.physical("kernel_start"))):
            first, last = (start - box.RAM) // box.PAGE, (start + size - box.RAM + box.PAGE - 1) // box.PAGE
            taken[first:last] = b"\1" * (last - first)
        return taken

    def count_pages(self):
        self.batch([Call(DRAIN), Call(FREE_COUNT)], look=False)
        return self.counted

    def batch(self, *shares, look=True):
        super().batch(*shares, look=look)
        for share in shares:
            for call in share:
                if call.op == FREE_COUNT:
                    self.counted = call.value

    # --- pieces of plans

    def alloc(self, size, touch=0):
        return Call(ALLOC, slot=self.slot(), argument=size, touch=touch)

    def free(self, block, touch=0):
        return Call(FREE_OP, slot=block.slot, argument=block.bytes, touch=touch)

    def own_pages(self):
        """All pages that blocks lie in belong to somebody: to the heap, since nobody else takes any."""
        pages = sorted({self.model.translate(page) for block in self.model.blocks.values()
                        for page in range(block.base & -box.PAGE, block.base + block.bytes, box.PAGE)})
        calls = [Call(IS_ALLOCATED, argument=page) for page in pages[:box.CALLS]]
        self.batch(calls or [Call(box.NOTHING)], look=False)
        for call in calls:
            if call.value != 1:
                raise Violation("heap-range", "blocks in pages that the heap has", f"the page 0x{call.argument:x} is free",
                                call.argument + box.LINEAR, fatal=True)
        self.model.examined["heap-range"] += len(calls)

    def free_all(self, harts=1, touch=0):
        blocks = list(self.model.blocks.values())
        self.guest.rng.shuffle(blocks)
        for first in range(0, len(blocks), 8000):
            some = blocks[first:first + 8000]
            self.batch(*[[self.free(block, touch) for block in some[hart::harts]] for hart in range(harts)], look=False)
        self.reclaim()

    def exhaust(self, smallest, largest, at_once=2000):
        """Allocates until something is refused; what was had in blocks and in bytes."""
        before = len(self.model.blocks)
        while True:
            calls = [self.alloc(self.guest.rng.randrange(smallest, largest + 1)) for _ in range(at_once)]
            self.batch(calls, look=False)
            self.reclaim()
            if not all(call.value for call in calls) or len(self.model.blocks) + at_once > box.SLOTS:
                return len(self.model.blocks) - before

    def give_back(self):
        """Everything is freed and trimmed: only the arena is left."""
        self.free_all()
        self.now = "heap-trim"
        self.batch([Call(TRIM)])
        left = self.count_pages()
        self.expect(left == self.free_then, "heap-trim", f"{self.free_then} free pages, as when the heap was new", f"{left} are free")


def some_size(rng):
    return rng.choice((rng.randrange(1, 65), rng.randrange(1, 400), rng.randrange(1, 400), rng.randrange(1, 3000), rng.randrange(1, 20000)))


def mixture(run, calls, most):
    """Random calls of all kinds: at most so many bytes are in use."""
    rng, held = run.guest.rng, list(run.model.blocks.values())
    used, plan, fresh = sum(block.bytes for block in held), [], []
    rng.shuffle(held)
    for _ in range(calls):
        size, dice = some_size(rng), rng.random()
        if held and (dice < 0.3 or used > most):
            block = held.pop()
            used -= block.bytes
            plan.append(run.free(block))
        elif held and dice < 0.45:
            plan.append(Call(REALLOC, slot=held.pop().slot, argument=size))   # each block once in a batch
            used += size
        elif held and dice < 0.5:
            plan.append(Call(USABLE, slot=rng.choice(held).slot))
        else:
            plan.append(run.alloc(size))
            if dice < 0.6:
                plan[-1] = Call(ALIGNED, slot=plan[-1].slot, argument=size, second=1 << rng.randrange(4, 13))
            elif dice < 0.7:
                plan[-1] = Call(ZEROED, slot=plan[-1].slot, argument=size * 3, second=size, third=3)
            used += plan[-1].argument
            fresh.append(plan[-1].slot)
            if dice > 0.9:
                plan.append(Call(USABLE, slot=plan[-1].slot))
        if rng.random() < 0.01:
            plan.append(Call(TRIM))
    return plan


def edges(run):
    run.now = "heap-edges"
    odd = [run.alloc(size) for size in (0, *(2 ** 64 - less for less in (1, 15, 16, 17, 33)), 2 ** 63, 2 ** 63 + 5, 1 << 40)]
    odd += [Call(ALIGNED, slot=run.slot(), argument=size, second=align)
            for size, align in ((8, 1 << 62), (2 ** 64 - 4096, 8192), (1 << 40, 64))]
    odd += [Call(ZEROED, slot=run.slot(), argument=0, second=count, third=size)
            for count, size in ((2 ** 63, 2), (2 ** 61 + 4, 8), (8, 2 ** 61 + 4), (2 ** 32 + 1, 2 ** 32), (0, 8), (8, 0))]
    run.guest.rng.shuffle(odd)
    run.only = "heap-edges"
    run.batch([run.alloc(100)] + odd + [run.alloc(100)])
    run.only = None
    for call in odd:
        run.model.examined["heap-edges"] += 1
        if call.value:
            raise Violation("heap-edges", "NULL", f"got 0x{call.value:x}", call.value, call, fatal=True)
    run.free_all()
    run.came_through("heap-edges")


def coalesce(run):
    """In the arena: its largest block can be had again after it was full of others."""
    run.now = "heap-coalesce"
    low, high = run.model.arena
    size = (high - low) - 16 * KIB
    for way in range(4):
        largest = run.alloc(size)
        run.batch([largest, Call(FREE_COUNT)])
        run.model.examined["heap-coalesce"] += 1
        if not largest.value or run.counted != run.free_then:
            raise Violation("heap-coalesce", f"a block of {size} bytes in the arena of {high - low}, which is empty",
                            "NULL" if not largest.value else "a block elsewhere: more pages were taken", low, largest, fatal=True)
        run.free_all()
        left, calls = size - 8 * KIB, []
        while left > 2000:
            calls.append(run.alloc(run.guest.rng.randrange(1, 600)))
            left -= calls[-1].argument + 64
        run.batch(calls)
        order = list(run.model.blocks.values())
        if way == 0:
            order.reverse()
        elif way > 1:
            run.guest.rng.shuffle(order)
        run.batch([run.free(block) for block in order])
        run.reclaim()
    run.came_through("heap-coalesce")


def full(run):
    """To the last page and back, twice, and random calls in between."""
    run.now = "heap-refusal"
    run.batch([Call(TRIM)])
    found = []
    for _ in range(2):
        found.append(run.exhaust(400, 3600))
        left = run.count_pages()
        run.expect(left <= 16, "heap-refusal", "no page left when memory is refused", f"{left} free pages")
        run.own_pages()
        if len(found) == 1:
            run.batch([run.free(block) for block in run.guest.rng.sample(list(run.model.blocks.values()), len(run.model.blocks) // 20)])
            run.reclaim()
            for _ in range(2):
                run.batch(mixture(run, 300, 1 << 40))
                run.reclaim()
        run.give_back()
        run.now = "heap-lost"
    run.expect(found[1] > 0.97 * found[0] - 10, "heap-lost", f"about {found[0]} blocks, as in the first round", f"{found[1]} blocks")
    run.came_through("heap-refusal", "heap-lost")


def alone(run):
    """One hart: every promise, exactly."""
    run.boot()
    edges(run)
    run.now = "heap-realloc"
    for most in (200 * KIB, 200 * KIB, MIB, MIB, MIB, 3 * MIB, 3 * MIB, 500 * KIB):
        run.batch(mixture(run, 300, most))
        run.reclaim()
    run.own_pages()
    run.give_back()
    full(run)


def arena(run):
    """A heap that need not grow: holes that come and go, and which of them are taken."""
    run.boot(512 * KIB)
    coalesce(run)
    run.now = "heap-policy"
    run.model.judges_choice = run.model.policy is not None
    rng = run.guest.rng

    def pairs(sizes):
        calls = [run.alloc(size) for size in sizes]
        return [call for one in calls for call in (one, Call(USABLE, slot=one.slot))]
    run.batch(pairs([64] + [rng.choice((rng.randrange(16, 200), rng.randrange(16, 3000))) for _ in range(240)]))
    floor = run.model.slots[min(run.model.slots, key=lambda slot: run.model.slots[slot].base)].base
    for _ in range(14):
        blocks = [block for block in run.model.blocks.values() if block.base != floor]
        run.batch([run.free(block) for block in rng.sample(blocks, len(blocks) // 3)])
        run.reclaim()
        run.batch(pairs([rng.choice((rng.randrange(1, 200), rng.randrange(1, 1500))) for _ in range(55)]))
    run.free_all()


def harts(run):
    """All harts at once: marks in each block, blocks freed by other harts."""
    run.only, run.now = "heap-harts", "heap-harts"
    count, rng = run.guest.harts, run.guest.rng
    run.boot()
    run.now = "heap-harts"
    for size, keep in ((100, 60), (600, 40), (3000, 100)):
        for _ in range(2):
            shares, held = [], list(run.model.blocks.values())
            rng.shuffle(held)
            for hart in range(count):
                mine, share = [(block.slot, block.bytes) for block in held[hart::count]], []
                for _ in range(3000 // max(count, 2)):
                    if mine and (rng.random() < 0.45 or len(mine) >= keep):
                        at = rng.randrange(len(mine))
                        mine[at], mine[-1] = mine[-1], mine[at]
                        slot, used = mine.pop()
                        share.append(Call(FREE_OP, slot=slot, argument=used, touch=STAMP))
                    else:
                        share.append(run.alloc(rng.randrange(16, 16 + size), STAMP))
                        mine.append((share[-1].slot, share[-1].argument))
                for at in rng.sample(range(len(share)), 20):
                    share.insert(at, Call(box.INTERRUPT, argument=rng.getrandbits(count)))
                shares.append(share)
            run.batch(*shares)
            run.reclaim()
    for most in (200, 5000):
        run.batch(*[[Call(CHURN, slot=hart, argument=80 // count, second=most) for _ in range(4)] for hart in range(count)])
    run.free_all(count, STAMP)
    run.batch([Call(TRIM)])
    left = run.count_pages()
    run.expect(left == run.free_then, "heap-harts", f"{run.free_then} free pages in the end", f"{left} are free")
    if run.model.policy:
        run.batch([run.alloc(200 * KIB), Call(FREE_COUNT)])
        run.expect(run.counted == run.free_then, "heap-harts", "a block of 200 KiB in the arena, where nothing is in use",
                   "more pages were taken")


def misuse(run):
    """A caller's mistake must end in a panic at that very call. What the panic says is for people."""
    run.boot()
    check, rng = run.check, run.guest.rng
    blocks = [run.alloc(size) for size in (100, 300, 5000, 100, 40)]
    run.batch(blocks)
    if not all(block.value for block in blocks):
        raise Ended("refused", "the heap gave no memory")
    block = blocks[rng.randrange(1, 4)]
    wrong = {"heap-double-free": block.value, "heap-free-inside": blocks[2].value + ALIGN * rng.randrange(1, 300),
             "heap-free-misaligned": block.value + rng.choice((1, 4, 8, 24)),
             "heap-free-foreign": box.LINEAR + {"kernel": run.guest.elf.physical("kernel_start") + 4096, "reserved": run.guest.place,
                                                "device": 0x10000000}.get(run.variant, 0)}[check]
    if check == "heap-double-free":
        first = {"merged": [other for other in blocks if other is not block], "reused": []}.get(run.variant, [])
        run.batch([Call(FREE_OP, slot=one.slot, argument=one.argument) for one in first + [block]], look=False)
    call = Call(FREE_AT, argument=wrong)
    try:
        run.guest.batch([[call]])
    except Ended as ended:
        if ended.kind != "panic" or ended.running != [call]:
            raise
        run.model.examined[check] += 1
        return
    run.model.history.append(call)
    raise Violation(check, "a panic that names the rule", "the call returned as if all were well", wrong, call, fatal=True)


MISUSES = {"heap-double-free": ("plain", "merged"), "heap-free-inside": ("block",), "heap-free-misaligned": ("block",),
           "heap-free-foreign": ("kernel", "reserved", "device")}
RULES = ("heap-range", "heap-aligned", "heap-disjoint", "heap-contents", "leaves")
SCENARIOS = {
    "alone": ("heap-start", *RULES, "heap-edges", "heap-zero", "heap-usable", "heap-realloc", "heap-refusal", "heap-lost", "heap-trim"),
    "arena": ("heap-start", *RULES, "heap-coalesce", "heap-policy"),
    "harts": ("heap-start", "heap-harts", "leaves"),
    "misuse": tuple(MISUSES),
    "costs": ("heap-cost", "heap-growth", "heap-memory"),
}
ENOUGH = {"heap-range": 200, "heap-aligned": 200, "heap-disjoint": 200, "heap-contents": 500, "heap-zero": 30, "heap-usable": 50,
          "heap-realloc": 100, "heap-edges": 12, "heap-coalesce": 4, "heap-policy": 200, "heap-trim": 2, "leaves": 500}
VARIANTS = ("first_fit", "next_fit", "best_fit", "worst_fit", "bump", "slab")


def misuses(verdicts, scenario, options, rng):
    ended = True
    for check, variants in MISUSES.items():
        for variant in variants:
            with machine(options, rng, 1, scenario.variant) as guest:
                run = HeapsRun(f"{check}, {variant}", verdicts, guest, check)
                run.check, run.variant = check, variant
                ended = verdicts.attempt(run, misuse) and ended
        if ended or not any(run.startswith(check) for run in verdicts.stops):
            verdicts.proved(scenario.text, check)
    return ended


def machine(options, rng, count, name):
    guest = Guest(options.elf, rng, 16 * MIB, count)
    guest.config["heap"] = name
    return guest


def play(verdicts, scenario, options):
    rng = random.Random(f"{options.seed} {scenario.text}")
    if scenario.name == "costs":
        return costs(verdicts, scenario, options, HeapsRun)
    if scenario.name == "misuse":
        return misuses(verdicts, scenario, options, rng)
    with machine(options, rng, options.harts if scenario.name == "harts" else 1, scenario.variant) as guest:
        run = HeapsRun(scenario.text, verdicts, guest, "heap-start")
        return verdicts.attempt(run, {"alone": alone, "arena": arena, "harts": harts}[scenario.name])
