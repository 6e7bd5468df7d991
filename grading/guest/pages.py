"""The subject "pages": the plans for the page allocator: which calls are made, in which machines, and which check each of them serves.

A scenario is one boot (misuse: one for each kind; costs: two sizes, and the reference beside). `run.now` names the check that is
being worked on: it is the one that fails when the guest does not come back. A scenario that comes to its end has proved its checks.
"""

import random

from guest import mailbox as box
from guest.machine import Ended, Guest
from guest.mailbox import Call
from guest.pages_model import (ALLOC, ATOMIC, CHURN, DMA, DRAIN, FREE_AT, FREE_COUNT, FREE_OP, IS_ALLOCATED, MAX_ORDER, ORDER,
                               REFS, SHARE_OP, SHARE_STORM, STAMP, TOTAL_COUNT, ZERO, Model)
from guest.run import Run
from guest.verdicts import Violation

MIB = 1 << 20

# check: (the invariant in a sentence, where to look)
CHECKS = {
    "start": ("page_init takes over the memory that memblock has free, returns true, and a page can be had.", "page_init add"),
    "range": ("Each block lies wholly in RAM.", "page_alloc take find"),
    "aligned": ("A block of 2^order pages starts at a multiple of its size.", "page_alloc take find find_words add"),
    "disjoint": ("No page belongs to two blocks at the same time.", "page_alloc take detach"),
    "reserved": ("What was reserved before page_init (firmware, kernel, device tree, holes) is never handed out.", "page_init add"),
    "contents": ("Nobody but its owner writes to a block while it is in use.", "fill_block page_alloc"),
    "zero": ("PAGE_ZERO gives memory of which every byte is zero, also where it was used before.", "fill_block page_alloc"),
    "dma": ("PAGE_DMA gives memory below the DMA limit only.", "take_from_zones page_alloc"),
    "edges": ("An order above PAGE_MAX_ORDER is refused, whatever the flags.", "page_alloc take"),
    "all-memory": ("Every free page can be allocated, but for at most 24 bytes of records a page.", "page_init add"),
    "refusal": ("Memory is refused only when no aligned run of free pages is left that fits.",
                "page_alloc take find find_words take_from_zones"),
    "reserve": ("Without PAGE_ATOMIC a zone keeps its reserve; with it the reserve can be had to the last page.",
                "page_alloc zone_take take_any"),
    "coalesce": ("When everything was given back, in any order, the largest blocks can be allocated again, as many as before.",
                 "page_free merge give paint"),
    "lost": ("After many rounds of use every page can still be allocated.", "page_free give take"),
    "counts": ("page_free_count and page_total_count tell the number of pages; page_is_allocated and page_order tell the truth.",
               "page_free_count count"),
    "references": ("page_share adds a reference, page_free drops one, and only the last one frees the block.",
                   "drop_extra free_slowly page_share"),
    "leaves": ("A call leaves interrupts as it found them and no lock held.", "page_alloc"),
    "double-free": ("Freeing a page that is free already is noticed at that call.", "block_of misuse page_free"),
    "free-inside": ("Freeing a page inside a block is noticed at that call.", "block_of misuse page_free"),
    "free-misaligned": ("Freeing an address inside a page is noticed at that call.", "block_of misuse page_free"),
    "free-foreign": ("Freeing memory that page_init did not take over is noticed at that call.", "block_of misuse page_free"),
    "harts": ("Any number of harts may call at the same time: no block is given out twice, none is lost.", "page_alloc take_any take"),
    "cost-page": ("A single page costs at most eight times the instructions that it costs in the reference.", "page_alloc take"),
    "cost-block": ("A block costs at most eight times the instructions that it costs in the reference.", "page_alloc take find"),
    "cost-growth": ("With four times the memory a call costs at most twice what growth there is in the reference.", "page_alloc take find"),
}


class PagesRun(Run):
    """A boot in which page_alloc and page_free are called."""

    def boot(self):
        self.guest.boot()
        self.model = Model(self.guest)
        self.start_pages()
        page = self.alloc()
        self.batch([page])
        if not page.value:
            raise Violation("start", "a page of the memory that page_init took over", "page_alloc gives none", call=page)
        self.batch([Call(FREE_OP, slot=page.slot)])
        self.reclaim()
        self.came_through("start")

    # --- pieces of plans

    def alloc(self, order=0, flags=0, touch=0):
        return Call(ALLOC, order, flags, self.slot(), touch=touch)

    def exhaust(self, order=0, flags=ATOMIC, look=True):
        """Allocates until well after nothing is left; the number of blocks."""
        before = len(self.model.blocks)
        first, last = (0, self.model.limit) if flags & DMA else (0, self.model.pages)
        free = self.model.state.count(0, first, last)
        self.batch([self.alloc(order, flags) for _ in range((free >> order) + 3)], look=look)
        return len(self.model.blocks) - before

    def free_all(self, harts=1):
        slots = list(self.model.slots)
        self.guest.rng.shuffle(slots)
        calls = [Call(FREE_OP, slot=slot) for slot in slots for _ in range(self.model.slots[slot].references)]
        if calls:
            self.batch(*[calls[i::harts] for i in range(harts)])
        self.reclaim()

    def take_all(self):
        """The first exhaustion: from now on the model knows what there is."""
        self.now = "all-memory"
        given, reserve = self.exhaust(look=False), self.guest.config["reserve"]
        missing, most = self.model.offered - given, (24 * self.model.pages + 0xffff) // box.PAGE + 1
        check = "reserve" if reserve and missing <= most + 2 * reserve else "all-memory"
        self.expect(given > 0 and missing <= most, check, f"at least {self.model.offered - most} pages",
                    f"{given} of {self.model.offered} free pages could be allocated")
        if given == 0:
            raise Ended("refused", "page_alloc gave no page at all")
        self.model.learn()
        self._own_records()
        self.came_through("all-memory")
        self.batch([Call(FREE_COUNT), Call(TOTAL_COUNT)])
        self.reclaim()

    def _own_records(self):
        """Blocks in use must not change while others come and go: the allocator might keep its records in what it gave out."""
        self.now = "contents"
        slots = self.guest.rng.sample(list(self.model.slots), min(40, len(self.model.slots)))
        before = {b.base: self.guest.read(b.base, box.PAGE) for b in self.model.blocks.values() if b.slot not in slots}
        for calls in ([Call(FREE_OP, slot=slot) for slot in slots] + [Call(DRAIN)], [self.alloc() for _ in slots]):
            self.batch(calls, look=False)
            for page, data in before.items():
                if self.guest.read(page, box.PAGE) != data:
                    raise Violation("contents", "a block that nobody writes to stays as it is", "the allocator wrote into it", page)
            self.model.examined["contents"] += len(before)


def some_pages(run, count):
    return [run.guest.rng.choice(list(run.model.blocks)) for _ in range(count)] if run.model.blocks else []


def edges(run):
    run.now = "edges"
    flags = (0, ZERO, ATOMIC, DMA, 7)
    run.batch([Call(ALLOC, order, run.guest.rng.choice(flags), run.slot()) for order in (11, 12, 30, 31, 32, 33, 63, 64, 127, 255)])
    run.reclaim()
    run.came_through("edges")


def coalesce(run):
    run.now = run.instead["refusal"] = "coalesce"
    run.free_all()
    run.exhaust(MAX_ORDER)
    run.free_all()
    for order in run.guest.rng.sample(range(1, MAX_ORDER), 3):   # others, too, down to the last
        run.exhaust(order)
        run.free_all()
    run.instead.clear()
    run.came_through("coalesce")


def zeroes(run):
    run.now = "zero"
    run.exhaust(0)      # all is dirty with the judge's pattern, and freed so
    run.free_all()
    rng = run.guest.rng
    orders = [0] * 40 + list(range(MAX_ORDER + 1)) + [1, 2, 3]
    for flags in (ZERO, ZERO | ATOMIC, ZERO | DMA):
        rng.shuffle(orders)
        run.batch([run.alloc(order, flags) for order in orders])
        run.free_all()
    run.came_through("zero")


def dma(run):
    run.now = "dma"
    for order in (0, 10, 7, 4):
        run.exhaust(order, DMA | ATOMIC)
        run.free_all()
    run.came_through("dma")


def references(run):
    run.now = "references"
    blocks = [run.alloc(order) for order in (0, 0, 3, 5)]
    run.batch(blocks)
    calls, extra = [], {}
    for block in blocks:
        extra[block.slot] = run.guest.rng.randrange(1, 6)
        calls += [Call(SHARE_OP, slot=block.slot) for _ in range(extra[block.slot])]
        calls += [Call(REFS, slot=block.slot), Call(ORDER, slot=block.slot)]
    run.batch(calls)
    run.only = "references"   # who frees too early gives these pages out again
    calls = []
    for block in blocks:
        calls += [Call(FREE_OP, slot=block.slot) for _ in range(extra[block.slot])] + [Call(REFS, slot=block.slot)]
    calls += [run.alloc(run.guest.rng.choice((0, 0, 0, 3, 5))) for _ in range(300)]
    run.batch(calls)
    run.free_all()
    run.batch([Call(FREE_COUNT)])
    run.only = None
    run.came_through("references")


def mixture(run, calls, orders, harts=1, touch=0, keep=None):
    """A random plan for each hart: its own slots, and those that were handed to it."""
    rng, held = run.guest.rng, list(run.model.slots)
    rng.shuffle(held)
    shares = []
    for hart in range(harts):
        mine, share = held[hart::harts], []
        for _ in range(calls):
            if mine and (rng.random() < 0.5 or (keep and len(mine) >= keep)):
                at = rng.randrange(len(mine))
                mine[at], mine[-1] = mine[-1], mine[at]
                share.append(Call(FREE_OP, slot=mine.pop(), touch=touch))
            else:
                flags = 0 if touch else rng.choice((0, 0, 0, ZERO, ATOMIC, ZERO | ATOMIC, DMA))
                share.append(run.alloc(rng.choice(orders), flags, touch))
                mine.append(share[-1].slot)
        shares.append(share)
    return shares


def stirred(run):
    """Random calls in memory that is nearly full: refusals and all else are exact."""
    run.now = "refusal"
    orders = [0] * 12 + [1] * 4 + [2] * 3 + [3, 3, 4, 5, 6, 7, 8, 9, 10]
    for filling in (0.5, 0.97):
        calls, pages = [], int(run.model.free_pages() * filling)
        while pages > 0:
            order = run.guest.rng.choice(orders)
            calls.append(run.alloc(order))
            pages -= 1 << order
        run.batch(calls)
        for _ in range(3):
            run.batch(*mixture(run, 250, orders))
        run.batch([Call(FREE_COUNT)] + [Call(IS_ALLOCATED, argument=page) for page in some_pages(run, 20)])
        run.reclaim()
        run.free_all()
        run.batch([Call(IS_ALLOCATED, argument=box.RAM + page * box.PAGE)
                   for page in run.guest.rng.sample([p for p in range(run.model.pages) if run.model.state[p] == 0], 20)])
    run.came_through("refusal")


def nothing_lost(run):
    run.now = run.instead["refusal"] = "lost"
    for order in (3, 0, 1):
        run.exhaust(order)
        run.free_all()
    run.exhaust(0)
    run.batch([Call(FREE_COUNT), Call(DRAIN)])
    run.free_all()
    run.batch([Call(DRAIN), Call(FREE_COUNT), Call(TOTAL_COUNT)])
    run.instead.clear()


def alone(run):
    """One hart: every promise, exactly."""
    run.boot()
    edges(run)
    run.take_all()
    coalesce(run)
    dma(run)
    zeroes(run)
    stirred(run)
    references(run)
    nothing_lost(run)


def holes(run):
    """Memory with reservations of odd sizes in the middle, and a reserve for PAGE_ATOMIC."""
    run.boot()
    run.take_all()
    run.free_all()
    run.now = run.instead["refusal"] = "reserve"
    run.exhaust(0, 0)
    for first, last in run.model.zones(False):
        total = last - first - sum(run.model.state.count(k, first, last) for k in range(2, 8))
        left = run.model.state.count(0, first, last)
        want = min(total, run.guest.config["reserve"])
        run.expect(left >= want, "reserve", f"{want} free pages left in the zone", f"{left} are left")
    run.exhaust(0, ATOMIC)
    run.came_through("reserve")
    coalesce(run)
    stirred(run)


def regions(run):
    """Memory in several pieces, none of which begins or ends where a page does."""
    run.boot()
    run.take_all()
    coalesce(run)
    dma(run)
    stirred(run)
    nothing_lost(run)


def layouts(rng):
    """(bytes of RAM, DMA limit, regions): three pieces close together, and memory far above 4 GiB that DMA cannot reach."""
    def piece(first, last, end):   # somewhere in these MiB, to be cut off by the end
        start = rng.randrange(first * MIB, last * MIB)
        return box.RAM + start, rng.randrange(2 * MIB, end * MIB - start)
    low = box.RAM, rng.randrange(14 * MIB, 18 * MIB)
    near = [low, piece(20, 22, 27), piece(29, 33, 40)]
    yield 48 * MIB, near[1][0] // box.PAGE * box.PAGE + box.PAGE, near
    yield 3072 * MIB, 1 << 32, [low, piece(2048, 2060, 2070), piece(2900, 2920, 2950)]


def storms(run, count, shared):
    """No ticket slows these down: counts of references, caches filled and flushed, and the hunt for the last free pages."""
    run.batch(*[[Call(SHARE_STORM, slot=shared[0].slot, argument=80000 // count) for _ in range(8)] for _ in range(count)])
    run.batch([Call(REFS, slot=call.slot) for call in shared])
    for order, flags in ((0, 0), (2, 0)):
        run.batch(*[[Call(CHURN, order, flags, hart, 240 // count) for _ in range(8)] for hart in range(count)])
    run.exhaust()
    held = list(run.model.slots)
    run.batch([Call(FREE_OP, slot=slot) for slot in held[4:4 + 30 * count]])
    run.batch(*[[Call(CHURN, 0, ATOMIC, hart, 240 // count) for _ in range(8)] for hart in range(count)])
    run.reclaim()
    run.exhaust()
    run.free_all()


def harts(run):
    """All harts at once: marks in each block, blocks freed by other harts, counts of references that all change."""
    run.only, run.now = "harts", "harts"
    count, rng = run.guest.harts, run.guest.rng
    run.boot()
    run.take_all()
    run.now = "harts"
    run.free_all(count)
    for orders, keep in (([0], 60), ([0] * 8 + [1, 2, 3], 40), ([0], None), ([0] * 5 + [1, 4], 100)):
        for _ in range(2):
            shares = mixture(run, 6000 // max(count, 2), orders, count, STAMP, keep)
            for share in shares:
                for at in rng.sample(range(len(share)), 20):
                    share.insert(at, Call(box.INTERRUPT, argument=rng.getrandbits(count)))
            run.batch(*shares)
            run.reclaim()
    run.free_all(count)
    shared = [run.alloc() for _ in range(4)]
    run.batch(shared)
    for _ in range(2):
        shares = [[] for _ in range(count)]
        for share in shares:
            for _ in range(8000 // max(count, 2) // 2):
                slot = rng.choice(shared).slot
                share += [Call(SHARE_OP, slot=slot), Call(FREE_OP, slot=slot)]
        run.batch(*shares)
        run.batch([Call(REFS, slot=call.slot) for call in shared])
    storms(run, count, shared)
    share = (run.model.free_pages() * 11 // 10) // count   # more than there is, by all at once
    run.batch(*[[run.alloc(0, ATOMIC) for _ in range(share)] for _ in range(count)])
    run.free_all(count)
    run.exhaust(0)
    run.free_all()
    run.batch([Call(DRAIN), Call(FREE_COUNT)])


def misuse(run):
    """A caller's mistake must end in a panic at that very call. What the panic says is for people."""
    run.boot()
    check, rng = run.check, run.guest.rng
    blocks = [run.alloc(order) for order in (0, 0, 0, 3, 3)]
    run.batch(blocks)
    block = blocks[3] if run.variant == "block" else blocks[1]
    if not all(b.value for b in blocks):
        raise Ended("refused", "page_alloc gave no memory")
    wrong = {"double-free": block.value, "free-inside": block.value + box.PAGE * rng.randrange(1, 8),
             "free-misaligned": block.value + rng.choice((1, 8, 512, 2048)),
             "free-foreign": {"kernel": run.guest.elf.physical("kernel_start") + 4096, "reserved": run.guest.place,
                              "device": 0x40000000}.get(run.variant)}[check]
    if check == "double-free":
        run.batch([Call(FREE_OP, slot=block.slot)] + [Call(DRAIN)] * (run.variant == "drained"))
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


# --- costs

def cost_plan(run):
    """Mean instructions of a call for single pages and for blocks, without the driver's own."""
    run.now = "cost-page"
    run.boot()
    rng = run.guest.rng
    nothing = [Call(box.NOTHING) for _ in range(50)]
    pages = [run.alloc() for _ in range(1500)]
    run.batch(nothing + pages)
    own = min(call.cost for call in nothing)
    order = pages[:]
    rng.shuffle(order)
    frees = [Call(FREE_OP, slot=call.slot) for call in order[:1200]]
    run.batch(frees)
    again = [run.alloc() for _ in range(600)]
    run.batch(again)
    page = sum(call.cost - own for call in pages + frees + again) / (len(pages) + len(frees) + len(again))
    run.now = "cost-block"
    run.reclaim()
    blocks = [run.alloc(rng.choice((1, 1, 2, 2, 3, 4, 5, 6))) for _ in range(150)]
    run.batch(blocks)
    some = rng.sample(blocks, 100)
    released = [Call(FREE_OP, slot=call.slot) for call in some]
    run.batch(released)
    more = [run.alloc(rng.choice((1, 2, 3, 4, 5))) for _ in range(60)]
    run.batch(more)
    calls = blocks + released + more
    return {"page": page, "block": sum(call.cost - own for call in calls) / len(calls)}


def costs(verdicts, scenario, options):
    sizes = (24 * MIB, 96 * MIB)

    def measure(elf):
        found = {}
        for size in sizes:
            rng = random.Random(f"{options.seed} costs")
            with Guest(elf, rng, size, 1, scenario.variant, icount=True) as guest:
                run = PagesRun(f"{scenario.text}, {size // MIB} MiB", verdicts, guest, "cost-page")
                if not verdicts.attempt(run, lambda r: found.__setitem__(str(size), cost_plan(r))):
                    return None
        return found

    mine = measure(options.elf)
    if not mine:
        return False
    theirs = options.reference.costs(scenario, measure)
    small, large = map(str, sizes)
    for check, what in (("cost-page", "page"), ("cost-block", "block")):
        cost, most = mine[small][what], 8 * theirs[small][what] + 20
        verdicts.measured[f"{scenario.text}: {check}"] = {"instructions": round(cost, 1), "reference": round(theirs[small][what], 1)}
        if cost > most:
            verdicts.fail(Violation(check, f"at most {most:.0f} instructions a call",
                                    f"{cost:.0f}; reference: {theirs[small][what]:.0f}"))
    worst = 0
    for what in ("page", "block"):
        growth = [max(found[large][what], 1) / max(found[small][what], 1) for found in (mine, theirs)]
        worst = max(worst, growth[0] / growth[1])
        verdicts.measured[f"{scenario.text}: growth-{what}"] = {"factor": round(growth[0], 2), "reference": round(growth[1], 2)}
    if worst > 2:
        verdicts.fail(Violation("cost-growth", "the reference's growth, at most doubled", f"{worst:.1f} times as much; see measured"))
    return True


RULES = ("range", "aligned", "disjoint", "reserved", "contents")
MISUSES = {"double-free": ("page", "drained", "block"), "free-inside": ("block",), "free-misaligned": ("page", "block"),
           "free-foreign": ("kernel", "reserved", "device")}
# name: the checks that it must have come through with
SCENARIOS = {
    "alone": ("start", *RULES, "edges", "all-memory", "coalesce", "zero", "dma", "references", "refusal", "counts", "lost", "leaves"),
    "holes": ("start", *RULES, "all-memory", "reserve", "coalesce", "refusal", "counts"),
    "regions": ("start", *RULES, "all-memory", "dma", "coalesce", "refusal", "counts", "lost"),
    "harts": ("start", "harts", "leaves"),
    "misuse": tuple(MISUSES),
    "costs": ("cost-page", "cost-block", "cost-growth"),
}
# How often a rule must have been looked at for a pass: who refuses everything breaks none.
ENOUGH = {"range": 1000, "aligned": 1000, "disjoint": 1000, "reserved": 1000, "contents": 1000, "zero": 30, "dma": 100, "edges": 8,
          "references": 8, "refusal": 1, "counts": 20, "leaves": 1000}


VARIANTS = ("buddy", "stack", "bitmap")


def misuses(verdicts, scenario, options, rng):
    ended = True
    for check, variants in MISUSES.items():
        for variant in variants:
            with Guest(options.elf, rng, 24 * MIB, 1, scenario.variant) as guest:
                run = PagesRun(f"{check}, {variant}", verdicts, guest, check)
                run.check, run.variant = check, variant
                ended = verdicts.attempt(run, misuse) and ended
        if ended or not any(run.startswith(check) for run in verdicts.stops):
            verdicts.proved(scenario.text, check)
    return ended


def split(verdicts, scenario, options, rng, memory, limit, pieces):
    with Guest(options.elf, rng, memory, 1, scenario.variant, dma_limit=limit, regions=pieces) as guest:
        return verdicts.attempt(PagesRun(scenario.text, verdicts, guest, "start"), regions)


def play(verdicts, scenario, options):
    rng = random.Random(f"{options.seed} {scenario.text}")
    if scenario.name == "costs":
        return costs(verdicts, scenario, options)
    if scenario.name == "misuse":
        return misuses(verdicts, scenario, options, rng)
    if scenario.name == "regions":
        return all(split(verdicts, scenario, options, rng, *layout) for layout in layouts(rng))
    size = rng.choice((36, 40, 44)) * MIB
    middle = box.RAM + rng.randrange(12 * MIB, size - 8 * MIB, box.PAGE)
    if scenario.name == "alone":
        settings = {"dma_limit": middle}
    elif scenario.name == "holes":
        settings = {"dma_limit": rng.choice((middle, box.RAM, 1 << 32)), "reserve": rng.randrange(1, 300), "holes": 8}
    else:
        settings = {"harts": options.harts, "dma_limit": box.RAM + 8 * MIB}
    with Guest(options.elf, rng, size, engine=scenario.variant, **settings) as guest:
        run = PagesRun(scenario.text, verdicts, guest, "start")
        return verdicts.attempt(run, {"alone": alone, "holes": holes, "harts": harts}[scenario.name])
