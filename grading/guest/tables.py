"""The subject "tables": the plans for Sv39 page tables.

`alone` is one hart that uses what it maps, unmaps and protects, so that its TLB remembers; `harts` are several that use the same table
while one changes it; `misuse` one boot for each mistake of a caller; `costs` instructions beside the reference's.
"""

import random

from guest import mailbox as box
from guest.machine import Ended, Guest
from guest.mailbox import PAGE, Call
from guest.pages_model import FREE_COUNT
from guest.run import Run
from guest.tables_model import (ASID, BASE, COW, CREATE, DATA, DESTROY, DIRTY, EAT, EDGE, ENTER, LARGE,
                                LEAVE, MAP, MAP_RANGE, PAGES, PROBE,
                                PROTECT, ROOT, SPIT, UNIVERSE, UNMAP, WATCH, Model, R, U, W, X)
from guest.verdicts import Violation

MIB = 1 << 20

CHECKS = {
    "table-start": ("A kernel maps itself by table_create, table_map and table_map_range, and goes on running.",
                    "table_create table_map"),
    "map-exact": ("Every address is translated to the page and with the bits that were asked for, and no other address is.",
                  "table_map table_protect table_unmap"),
    "table-result": ("TABLE_OK, TABLE_BUSY and TABLE_NO_MEMORY are said when they are true.", "table_map table_unmap"),
    "table-pages": ("There are as many table pages as the leaves need: none is lost, none stays empty, none goes too early.",
                    "table_grow sever raze"),
    "table-undone": ("A call that runs out of memory leaves tables, leaves and free pages as they were.",
                     "table_map split_at table_map_range"),
    "released": ("Each leaf that goes is released once, in rising order, with its address and level.", "bury sever raze"),
    "flushed": ("A right that was taken away cannot be used any more: not after the call, not when the page is released, on no hart.",
                "unmap_one sever protect"),
    "flush-range": ("One flush tells all harts in the table of all that was lost, and of everything when a table goes.",
                    "sever protect unmap_one"),
    "kernel-half": ("The upper half of a user's root is the kernel's.", "table_create check_place"),
    "destroyed": ("table_destroy gives every page of the table back.", "raze"),
    "table-leaves": ("A call leaves interrupts as it found them and no lock held.", "table_map"),
    "map-misaligned": ("A leaf that is not aligned to its size is refused at that call.", "check_place"),
    "map-upper-half": ("A leaf in the upper half of a user's table is refused at that call.", "check_place"),
    "map-not-canonical": ("An address whose bits 63 to 39 do not repeat bit 38 is refused at that call.", "check_place"),
    "cost-table": ("Mapping, protecting and unmapping pages costs at most eight times the instructions of the reference.",
                   "table_map table_unmap table_protect"),
    "cost-sparse": ("A range in which little is mapped costs little, however long it is.", "sever table_unmap"),
}
ENOUGH = {"map-exact": 50, "table-result": 100, "released": 30, "flushed": 50, "flush-range": 20, "kernel-half": 20, "table-leaves": 200}


class TablesRun(Run):
    def boot(self):
        self.guest.boot()
        self.model = Model(self.guest)
        self.model.kernel_root = self.start_tables("table-start")
        self.came_through("table-start")
        data = [Call(DATA, flags=order) for order in [0] * 12 + [9, 9, 10]]   # what tables may map: pages, 2 MiB twice, 4 MiB
        self.batch(data, look=False)
        if not all(call.value for call in data):
            raise Ended("refused", "page_alloc gave no memory")
        self.single, self.large, self.huge = [call.value for call in data[:12]], [call.value for call in data[12:14]], data[14].value

    def create(self):
        """A user's table."""
        made, root, pages = Call(CREATE), Call(ROOT), Call(FREE_COUNT)
        self.batch([made, root, pages], look=False)
        if not made.value:
            raise Violation("table-start", "a user's table", "table_create says that there is no memory", call=made)
        self.model.table_pages = pages.value
        self.settle_look()

    def settle_look(self):
        self._settling(self.model.look)

    def count(self, check="table-pages"):
        """The table's own count, the walk's, and the free pages have to agree."""
        free, pages = Call(FREE_COUNT), Call(PAGES)
        self.batch([free, pages])
        gone = self.model.table_pages - free.value
        self.expect(pages.value == self.model.walked + 1, check, f"pages = {self.model.walked + 1}: as many tables can be reached",
                    f"pages = {pages.value}")
        self.expect(gone == self.model.walked, check, f"{self.model.walked} pages in use for {self.model.walked} tables below the root",
                    f"{gone} are")

    # --- pieces of plans

    def va(self, page):
        return BASE + page * PAGE

    def bits(self):
        return self.guest.rng.choice((R, R | W, R | W, R | X, X, R | COW)) | self.guest.rng.choice((0, U, U))

    def map(self, page=None, level=None):
        rng = self.guest.rng
        level = int(rng.random() < 0.25) if level is None else level
        if page is None:
            page = EDGE + rng.randrange(3) * LARGE if level else rng.randrange(UNIVERSE)
        pa = rng.choice(self.large if level else self.single)
        return Call(MAP, flags=level, argument=self.va(page), second=pa, third=self.bits() | rng.choice((0, 0, 0, DIRTY)), touch=1)

    def map_range(self):
        rng = self.guest.rng
        first = rng.choice((0, EDGE, EDGE, EDGE + LARGE, rng.randrange(UNIVERSE)))
        count = min(UNIVERSE - first, rng.choice((3, 40, LARGE, LARGE + 20, LARGE + 20)))
        pa = self.huge + rng.choice((0, 0, LARGE - EDGE if first < EDGE else 0, 1)) * PAGE
        return Call(MAP_RANGE, argument=self.va(first), second=pa, third=self.bits() | count << 16, touch=1)

    def piece(self):
        """Some pages: anywhere; inside a large leaf; one that is mapped; the last one of a table."""
        rng = self.guest.rng
        tables = {}
        for page, level in self.model.size.items():
            tables.setdefault((BASE // PAGE + page) >> 9, []).append((page, level))
        last = [leaves[0][0] for leaves in tables.values() if len(leaves) == 1 and leaves[0][1] == 0]
        large = [page for page, level in self.model.size.items() if level]
        kind = rng.random()
        if kind < 0.25 and last:
            return rng.choice(sorted(last)), 1
        if kind < 0.5 and large:
            return rng.choice(sorted(large)) + rng.randrange(LARGE), rng.choice((1, 1, 5, 300))
        if kind < 0.7 and self.model.size:
            return rng.choice(sorted(self.model.size)), 1
        first = rng.choice((rng.randrange(UNIVERSE), EDGE + rng.randrange(3) * LARGE))
        room = UNIVERSE - first
        return first, min(room, rng.choice((1, 1, 2, 7, 60, LARGE, room)))

    def change(self):
        """A call that takes something away, with uses of some addresses before and after it."""
        rng = self.guest.rng
        first, count = self.piece()
        count = min(count, UNIVERSE - first)
        if rng.random() < 0.5:
            call = Call(UNMAP, argument=self.va(first), second=count * PAGE, touch=1)
        else:
            call = Call(PROTECT, argument=self.va(first), second=count * PAGE, third=self.bits(), touch=1)
        return call, first, count

    def addresses(self, first, count):
        mapped = sorted(p for p in self.model.pages if first - 1 <= p <= first + count)
        some = self.guest.rng.sample(mapped, min(len(mapped), 10)) + mapped[:2] + mapped[-2:]
        return [self.va(page) for page in dict.fromkeys(some)]


def fill(run, calls):
    for _ in range(calls // 6):
        run.batch([run.map() for _ in range(6)])


def stir(run, rounds):
    """Changes with the TLB full of what they take away."""
    rng = run.guest.rng
    for _ in range(rounds):
        run.now = "map-exact"
        run.batch([run.map_range() if rng.random() < 0.3 else run.map() for _ in range(3)])
        call, first, count = run.change()
        addresses = run.addresses(first, count)
        run.now = "flushed"
        watch = [Call(WATCH)] + [Call(WATCH, argument=va) for va in addresses]
        use = [Call(PROBE, argument=va) for va in addresses]
        run.batch(watch + use + [Call(FREE_COUNT), call] + [Call(PROBE, argument=va) for va in addresses])
        if rng.random() < 0.3:
            run.batch([Call(WATCH)])
            run.now = "table-pages"
            run.count()


def starve_empty(run):
    """The first page of an empty table needs two tables more: neither may be left behind."""
    for room in (0, 1, 2, 3):
        run.now = "table-undone"
        run.instead = {"map-exact": "table-undone", "table-pages": "table-undone"}
        page = run.guest.rng.randrange(UNIVERSE)
        run.batch([Call(EAT, argument=room)])
        run.batch([run.map(page, 0)])
        run.batch([Call(SPIT)])
        run.count("table-undone")
        run.batch([Call(UNMAP, argument=run.va(page), second=PAGE, touch=1)])
        run.instead.clear()
        run.count()


def ranges(run):
    """Into an empty table, so that nothing is in the way: where large leaves fit, and where they nearly do."""
    for first, count, skip in ((EDGE, LARGE + 20, 0), (0, EDGE + LARGE, LARGE - EDGE), (EDGE, LARGE + 20, 1), (3, 700, 40),
                               (EDGE, 2 * LARGE, 0)):
        run.now = "map-exact"
        run.batch([Call(MAP_RANGE, argument=run.va(first), second=run.huge + skip * PAGE, third=run.bits() | count << 16, touch=1)])
        run.count()
        run.batch([Call(UNMAP, argument=run.va(0), second=UNIVERSE * PAGE, touch=1)])
        run.count()


def splits(run):
    """Large leaves with each of the bits, of which a page in the middle goes or changes: the others keep all they had."""
    rng = run.guest.rng
    for bits in (R | COW | U, R | W | U | DIRTY, R | X | U, X, R | COW, R | W | DIRTY):
        run.now = "map-exact"
        first = EDGE + rng.randrange(3) * LARGE
        inside = run.va(first + rng.choice((0, 1, rng.randrange(LARGE), LARGE - 1)))
        run.batch([Call(MAP, flags=1, argument=run.va(first), second=rng.choice(run.large), third=bits, touch=1)])
        run.batch([rng.choice((Call(UNMAP, argument=inside, second=PAGE, touch=1),
                               Call(PROTECT, argument=inside, second=PAGE, third=R, touch=1)))])
        run.count()
        run.batch([Call(UNMAP, argument=run.va(0), second=UNIVERSE * PAGE, touch=1)])
        run.count()


def starve(run, rounds):
    """Each call with no free page, one, two …: all or nothing."""
    rng = run.guest.rng
    for turn in range(rounds):
        run.now = "table-undone"
        run.instead = {"map-exact": "table-undone", "table-pages": "table-undone"}
        call = rng.choice((run.map, run.map, run.map_range, lambda: run.change()[0]))()
        run.batch([Call(WATCH), Call(EAT, argument=turn % 4)])
        run.batch([call])
        run.batch([Call(SPIT)])
        run.count("table-undone")
        run.instead.clear()
    run.came_through("table-undone")


class Second:
    """Another table, with other pages at the same addresses, which nothing that is done to the first may change."""

    def __init__(self, run):
        self.run, root = run, Call(ROOT, 1)
        maps = [Call(MAP, 1, argument=run.va(page), second=run.single[page % 12], third=R | U) for page in range(0, UNIVERSE, 37)]
        run.batch([Call(CREATE, 1), *maps, root], look=False)
        self.root = root.value
        self.leaves = run.model.walk_from(self.root)[0]
        run.expect(len(self.leaves) == len(maps), "map-exact", f"{len(maps)} leaves in a second table", f"{len(self.leaves)}")

    def look(self):
        found, _, _, problem = self.run.model.walk_from(self.root)
        self.run.expect(found == self.leaves and not problem, "map-exact", "a table changes only when it is itself the call's",
                        "another table was changed by what was done to the first")
        self.run.batch([Call(DESTROY, 1)], look=False)


def destroy(run):
    run.now = "destroyed"
    run.batch([Call(WATCH), Call(LEAVE), Call(DESTROY, touch=1)], look=False)
    run.model.root, run.model.pages, run.model.size = None, {}, {}
    free = Call(FREE_COUNT)
    run.batch([free], look=False)
    run.expect(free.value == run.model.table_pages + 1, "destroyed", f"{run.model.table_pages + 1} free pages", f"{free.value}")
    run.came_through("destroyed")


def alone(run):
    run.boot()
    second = Second(run)
    for rounds in (14, 22):
        run.now = "table-start"
        run.create()
        run.batch([Call(ENTER), Call(ASID)])
        starve_empty(run)
        ranges(run)
        splits(run)
        fill(run, 36)
        run.count()
        stir(run, rounds)
        starve(run, 12)
        destroy(run)
    second.look()


def harts(run):
    """All translate through the table; hart 0 changes it, the others use what they have just used."""
    run.boot()
    run.create()
    count, rng = run.guest.harts, run.guest.rng
    run.batch(*[[Call(ENTER)] for _ in range(count)])
    run.batch([Call(ASID)])
    fill(run, 30)
    for _ in range(30):
        run.batch([run.map() for _ in range(3)])
        call, first, pages = run.change()
        addresses = run.addresses(first, pages)
        if not addresses:
            continue
        run.now = "flushed"
        watch = [Call(WATCH)] + [Call(WATCH, argument=va) for va in addresses]
        for shares in ([[Call(PROBE, argument=va) for va in addresses] for _ in range(count)], [watch + [Call(FREE_COUNT), call]],
                       [[Call(PROBE, argument=va) for va in rng.sample(addresses, len(addresses))] for _ in range(count)]):
            run.batch(*shares)
    run.now = "destroyed"
    run.batch(*[[Call(LEAVE)] for _ in range(count)])
    destroy(run)


WRONG = {"map-misaligned": ((0, 0x1001, 0x80000000), (0, 0x1000, 0x80000800), (1, 0x201000, 0x80000000), (1, 0x200000, 0x80001000)),
         "map-upper-half": ((0, 0xffffffc000000000, 0x80000000), (0, 0xfffffffffffff000, 0x80000000)),
         "map-not-canonical": ((0, 0x4000000000, 0x80000000), (0, 0x8000000000, 0x80000000))}


def misuse(run):
    run.boot()
    run.create()
    level, va, pa = run.variant
    call = Call(MAP, flags=level, argument=va, second=pa, third=R)
    try:
        run.guest.batch([[call]])
    except Ended as ended:
        if ended.kind != "panic" or ended.running != [call]:
            raise
        run.model.examined[run.check] += 1
        return
    run.model.history.append(call)
    raise Violation(run.check, "a panic that names the rule", "the call returned as if all were well", None, call, fatal=True)


def cost_plan(run):
    """Mean instructions of a page mapped, protected and unmapped; of an unmap over all of the universe with one page in it."""
    run.now = "cost-table"
    run.boot()
    run.create()
    run.batch([Call(ENTER)], look=False)   # so that flushes have somebody to tell
    nothing = [Call(box.NOTHING) for _ in range(20)]
    singles = [Call(MAP, argument=run.va(page), second=run.single[0], third=R | W | U) for page in range(0, UNIVERSE, 3)]
    protects = [Call(PROTECT, argument=run.va(page), second=PAGE, third=R | U) for page in range(0, UNIVERSE, 3)]
    unmaps = [Call(UNMAP, argument=run.va(page), second=PAGE) for page in range(0, UNIVERSE, 3)]
    run.batch(nothing + singles, look=False)
    run.batch(protects, look=False)
    run.batch(unmaps, look=False)
    own = min(call.cost for call in nothing)
    calls = singles + protects + unmaps
    run.now = "cost-sparse"
    page = Call(MAP, argument=run.va(0), second=run.single[0], third=R | U)
    sparse = Call(UNMAP, argument=0, second=1 << 38)
    run.batch([page, sparse], look=False)
    return {"table": sum(call.cost - own for call in calls) / len(calls), "sparse": sparse.cost - own}


def costs(verdicts, scenario, options):
    def measure(elf):
        found = {}
        with Guest(elf, random.Random(f"{options.seed} tables"), 32 * MIB, 1, icount=True) as guest:
            run = TablesRun(scenario.text, verdicts, guest, "cost-table")
            done = verdicts.attempt(run, lambda r: found.update(cost_plan(r)))
        return found if done else None

    mine = measure(options.elf)
    if not mine:
        return False
    theirs = options.reference.costs(scenario, measure)
    for check, what, spare in (("cost-table", "table", 50), ("cost-sparse", "sparse", 3000)):
        most = 8 * theirs[what] + spare
        verdicts.measured[f"{scenario.text}: {check}"] = {"instructions": round(mine[what], 1), "reference": round(theirs[what], 1)}
        if mine[what] > most:
            verdicts.fail(Violation(check, f"at most {most:.0f} instructions", f"{mine[what]:.0f}; reference: {theirs[what]:.0f}"))
    return True


# The record of flushes is written in the guest: it is believed when what harts can reach tells the same.
NEEDS = {"flush-range": "flushed"}
SCENARIOS = {
    "alone": ("table-start", "map-exact", "table-result", "table-pages", "table-undone", "released", "flushed", "flush-range",
              "kernel-half", "destroyed", "table-leaves"),
    "harts": ("table-start", "map-exact", "table-result", "flushed", "flush-range", "destroyed", "table-leaves"),
    "misuse": tuple(WRONG),
    "costs": ("cost-table", "cost-sparse"),
}
VARIANTS = ("sv39",)


def play(verdicts, scenario, options):
    rng = random.Random(f"{options.seed} {scenario.text}")
    if scenario.name == "costs":
        return costs(verdicts, scenario, options)
    if scenario.name == "misuse":
        ended = True
        for check, variants in WRONG.items():
            for variant in variants:
                with Guest(options.elf, rng, 32 * MIB) as guest:
                    run = TablesRun(f"{check}, 0x{variant[1]:x}", verdicts, guest, check)
                    run.check, run.variant = check, variant
                    ended = verdicts.attempt(run, misuse) and ended
            if ended or not any(stop.startswith(check) for stop in verdicts.stops):
                verdicts.proved(scenario.text, check)
        return ended
    with Guest(options.elf, rng, 32 * MIB, options.harts if scenario.name == "harts" else 1) as guest:
        run = TablesRun(scenario.text, verdicts, guest, "table-start")
        return verdicts.attempt(run, {"alone": alone, "harts": harts}[scenario.name])
