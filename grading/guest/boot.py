"""The subject "boot": the plans for memblock, with the ranges of machines that nobody has built.

The driver makes the calls on a memblock of its own, before page_init; nothing lies at these addresses. Regions have odd sizes and touch,
overlap, leave holes; reservations lie in their middle, across their ends, and where there is no memory; some of it lies at address 0,
some around 4 GiB, some at the very end of the address space.
"""

import random

from guest import mailbox as box
from guest.boot_model import (ADD, ALLOC, ALLOC_HIGH, CLEAR, END, FREE, FREE_BYTES, MEMORY_BYTES, NEXT, RANGES, RESERVE, REWIND, SPACE,
                              Model)
from guest.machine import Ended, Guest
from guest.mailbox import Call
from guest.run import Run
from guest.verdicts import Violation

MIB = 1 << 20

# check: (the invariant in a sentence, where to look)
CHECKS = {
    "boot-lists": ("Both lists have what was added and reserved: ranges that rise, are disjoint, and do not touch.", "insert replace"),
    "boot-limits": ("A range that wraps around, or that is one too many, is refused, and changes nothing.", "insert replace"),
    "boot-free": ("memblock_next_free tells each run of memory that is not reserved, once, in rising order.",
                  "free_within memblock_next_free"),
    "boot-totals": ("memblock_memory_bytes and memblock_free_bytes tell how much there is.", "memblock_free_bytes"),
    "boot-given": ("What is given out is aligned, and all of it is memory that nobody has reserved.", "memblock_alloc"),
    "boot-low": ("memblock_alloc takes the lowest place where it fits.", "memblock_alloc"),
    "boot-high": ("memblock_alloc_high takes the highest place where it fits.", "memblock_alloc_high"),
    "boot-refusal": ("Memory is refused only when it fits nowhere.", "memblock_alloc"),
    "boot-back": ("What is given back is free again, and what lies before and behind it stays reserved.", "memblock_free replace"),
    "boot-misuse": ("Giving back what is not reserved, and alignments that are no powers of two, are noticed at that call.",
                    "memblock_free"),
}


class BootRun(Run):
    def boot(self):
        self.guest.boot()
        self.model = Model(self.guest)
        self.batch([Call(CLEAR)])

    def some(self, check, *calls):
        """These calls; who does not come back from them has not kept this rule."""
        self.now = check
        self.batch(list(calls))

    def ask(self):
        walk = [call for _ in self.model.free() for call in (Call(NEXT), Call(END))]
        self.some("boot-free", Call(REWIND), *walk, Call(NEXT), Call(NEXT))
        self.some("boot-totals", Call(MEMORY_BYTES), Call(FREE_BYTES))

    def has_room(self):
        return len(self.model.reserved.list) < RANGES - 8


def odd(rng, most):
    return rng.choice((1, rng.randrange(1, 100), rng.randrange(1, most + 1), rng.randrange(1, most + 1), most))


def places(rng):
    """(start, size) of the regions of a machine."""
    bases = [0, rng.randrange(1, 5000), 0x80000000, (1 << 32) - rng.randrange(1, 100000), 1 << 39, (1 << 63) - 3000, SPACE - 300000]
    found = []
    for base in rng.sample(bases, rng.randrange(2, 6)):
        for _ in range(rng.randrange(1, 4)):
            size = min(odd(rng, 200000), SPACE - 1 - base)
            if size > 0:
                found.append((base, size))
            base += size + rng.choice((0, 0, 1, rng.randrange(1, 5000), -size // 2))
    found.append((SPACE - 1 - rng.randrange(1, 4096), 0))   # nothing, anywhere
    tail = rng.randrange(1, 70000)
    if rng.random() < 0.5:
        found.append((SPACE - 1 - tail, tail))              # up to the last end that there can be
    rng.shuffle(found)
    return found


def reservations(rng, regions):
    found = []
    for start, size in regions:
        for _ in range(rng.randrange(0, 4)):
            inside, length = rng.randrange(0, size + 1), odd(rng, size // 3 + 1)
            low = {0: start + inside, 1: start - length // 2, 2: start + size - length // 2, 3: start, 4: start + size - length,
                   5: start + size, 6: start - length}[rng.randrange(7)]
            low = max(0, low)
            if low + length < SPACE:
                found.append((low, length))
    return found


def allocate(run, rounds):
    rng = run.guest.rng
    for _ in range(rounds):
        free = run.model.free()
        if not free or not run.has_room():
            return
        calls = []
        for _ in range(3):
            start, end = rng.choice(free)
            size = rng.choice((end - start, end - start + 1, (end - start) // 2 + 1, odd(rng, end - start)))
            align = rng.choice((1, 1, 1 << rng.randrange(4), 1 << rng.randrange(17), 1 << rng.randrange(64)))
            calls.append(Call(rng.choice((ALLOC, ALLOC_HIGH)), argument=size, second=align))
        run.some("boot-given", *calls)


def give_back(run, rounds):
    rng = run.guest.rng
    run.model.lists = "boot-back"
    for _ in range(rounds):
        if not run.model.reserved.list or not run.has_room():
            break
        start, end = rng.choice(run.model.reserved.list)
        low = rng.choice((start, start, start + rng.randrange(end - start)))
        high = rng.choice((end, end, low + 1 + rng.randrange(end - low)))
        run.some("boot-back", Call(FREE, argument=low, second=high - low), Call(FREE, argument=low, second=0))
    run.model.lists = "boot-lists"


def wraps(run, start):
    """Ranges that end behind the last address that can be an end."""
    kept, run.model.lists = run.model.lists, "boot-limits"
    for low, size in ((SPACE - 5, 5), (SPACE - 5, 6), (start, SPACE - start), (start, SPACE - 1), (SPACE - 1, 1), (1 << 63, 1 << 63)):
        run.some("boot-limits", Call(run.guest.rng.choice((ADD, RESERVE)), argument=low, second=size))
    run.model.lists = kept


def machine(run):
    rng = run.guest.rng
    run.some("boot-lists", Call(CLEAR))
    regions = places(rng)
    ranges = [Call(ADD, argument=start, second=size) for start, size in regions]
    ranges += [Call(RESERVE, argument=start, second=size) for start, size in reservations(rng, regions)]
    rng.shuffle(ranges)
    while ranges:
        run.some("boot-lists", *ranges[:3])
        del ranges[:3]
    wraps(run, rng.choice(regions)[0] + 1)
    run.ask()
    for _ in range(3):
        allocate(run, 10)
        run.ask()
        give_back(run, 8)
        run.ask()
    huge = [Call(op, argument=size, second=1 << rng.randrange(64)) for op in (ALLOC, ALLOC_HIGH)
            for size in (0, 1 << 63, SPACE - 1, SPACE - rng.randrange(1, 5000))]
    run.some("boot-refusal", *huge)


def crowd(run):
    """As many ranges as a list has room for, one more, one that joins others; and ends of the address space."""
    rng = run.guest.rng
    base, step = rng.randrange(1, 1 << 40), rng.randrange(20, 5000)
    run.model.lists = "boot-limits"
    for op in (ADD, RESERVE):
        order = list(range(RANGES))
        rng.shuffle(order)
        run.some("boot-limits", Call(CLEAR), *[Call(op, argument=base + 2 * step * i, second=step) for i in order])
        more = [Call(op, argument=base + 2 * step * i + step + 3, second=rng.randrange(1, step - 6)) for i in rng.sample(range(-1, 64), 12)]
        for call in more:
            run.some("boot-limits", call)
        joins = base + 2 * step * rng.randrange(60)
        run.some("boot-limits", Call(op, argument=joins + step, second=step), *more[:2],
                 Call(op, argument=joins - 1, second=step * 6), *more[2:5], Call(op, argument=joins, second=0))
        wraps(run, base)
    run.some("boot-limits", Call(CLEAR), Call(ADD, argument=base, second=200 * step),
             *[Call(RESERVE, argument=base + 2 * step * i, second=step) for i in range(RANGES)])
    for _ in range(20):
        run.some("boot-limits", Call(rng.choice((ALLOC, ALLOC_HIGH)), argument=rng.randrange(1, step), second=1 << rng.randrange(8)))
    run.ask()
    run.model.lists = "boot-lists"


def ranges(run):
    run.boot()
    for _ in range(16):
        machine(run)
    crowd(run)


def misuse(run):
    """A caller's mistake must end in a panic at that very call. What the panic says is for people."""
    run.boot()
    rng = run.guest.rng
    base, size = rng.choice((0x80000000, SPACE - 40000, rng.randrange(1, 1 << 32))), rng.randrange(1000, 9000)
    run.batch([Call(ADD, argument=base, second=30000), Call(RESERVE, argument=base + 10000, second=size),
               Call(RESERVE, argument=base + 10001 + size, second=5000)])
    wrong = {"free": (FREE, base + rng.randrange(9000), rng.randrange(1, 900)),
             "before": (FREE, base + 10000 - rng.randrange(1, 100), 200),
             "beyond": (FREE, base + 10000 + rng.randrange(size), size),
             "across": (FREE, base + 10000 + size - rng.randrange(1, 100), 200),
             "wraps": (FREE, base + 10000, SPACE - rng.randrange(1, 5000)),
             "twice": (FREE, base + 10000, size),
             "align": (rng.choice((ALLOC, ALLOC_HIGH)), 100, rng.choice((0, 3, 24, 4097, SPACE - 1)))}[run.variant]
    if run.variant == "twice":
        run.batch([Call(FREE, argument=wrong[1], second=wrong[2])])
    call = Call(wrong[0], argument=wrong[1], second=wrong[2])
    try:
        run.guest.batch([[call]])
    except Ended as ended:
        if ended.kind != "panic" or ended.running != [call]:
            raise
        run.model.examined["boot-misuse"] += 1
        return
    run.model.history.append(call)
    raise Violation("boot-misuse", "a panic that names the rule", "the call returned as if all were well", wrong[1], call, fatal=True)


SCENARIOS = {
    "ranges": ("boot-lists", "boot-limits", "boot-free", "boot-totals", "boot-given", "boot-low", "boot-high", "boot-refusal", "boot-back"),
    "misuse": ("boot-misuse",),
}
MISUSES = ("free", "before", "beyond", "across", "wraps", "twice", "align")
# How often a rule must have been looked at for a pass: who refuses everything breaks none.
ENOUGH = {"boot-lists": 300, "boot-limits": 40, "boot-free": 500, "boot-totals": 100, "boot-given": 200, "boot-low": 100,
          "boot-high": 100, "boot-refusal": 150, "boot-back": 150, "boot-misuse": len(MISUSES)}
VARIANTS = ("memblock",)


def play(verdicts, scenario, options):
    rng = random.Random(f"{options.seed} {scenario.text}")
    ended = True
    for variant in (None,) if scenario.name == "ranges" else MISUSES:
        with Guest(options.elf, rng, 16 * MIB) as guest:
            run = BootRun(f"{scenario.text}, {variant}" if variant else scenario.text, verdicts, guest, SCENARIOS[scenario.name][0])
            run.variant = variant
            ended = verdicts.attempt(run, misuse if variant else ranges) and ended
    if ended and scenario.name == "misuse":
        verdicts.proved(scenario.text, "boot-misuse")
    return ended
