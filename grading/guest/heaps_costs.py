"""What a heap costs: instructions of a call, their growth with the number of blocks, and pages for what is in use; against the reference,
with the same plan.

The bound on instructions is wide, and for many blocks: unoptimized code takes four to six times as many, a map of units eight times where
it looks at every hole, and that changes no mark. What searches in a worse way than the reference shows in the growth.
"""

import random

from guest import mailbox as box
from guest.machine import Guest
from guest.heaps_model import FREE_OP, TRIM
from guest.mailbox import Call
from guest.pages_model import FREE_COUNT
from guest.verdicts import Violation

KIB, MIB = 1 << 10, 1 << 20
FEW, MANY = 250, 1000   # blocks


def instructions(run, count):
    """Mean instructions of a call beside `count` blocks and holes between them, without the driver's own."""
    rng = run.guest.rng
    nothing = [Call(box.NOTHING) for _ in range(50)]
    run.batch(nothing + [run.alloc(rng.randrange(16, 500)) for _ in range(count)], look=False)
    run.batch([run.free(block) for block in rng.sample(list(run.model.blocks.values()), count // 2)], look=False)
    run.reclaim()
    held, calls = [(block.slot, block.bytes) for block in run.model.blocks.values()], []
    for _ in range(500):
        if rng.random() < 0.5:
            slot, size = held.pop(rng.randrange(len(held)))
            calls.append(Call(FREE_OP, slot=slot, argument=size))
        else:
            calls.append(run.alloc(rng.randrange(16, 500)))
            held.append((calls[-1].slot, calls[-1].argument))
    run.batch(calls)
    own = min(call.cost for call in nothing)
    run.free_all()
    run.batch([Call(TRIM)], look=False)
    return sum(call.cost - own for call in calls) / len(calls)


def utilisation(run, sizes):
    """Bytes that were in use at the peak, over the bytes of the pages that the heap had at its peak."""
    rng, low = run.guest.rng, run.free_then
    live = peak = 0
    held = []
    for step in range(40):
        calls = []
        for _ in range(60):
            if held and rng.random() > (0.72 if step % 10 < 7 else 0.3):
                slot, size = held.pop(rng.randrange(len(held)))
                calls.append(Call(FREE_OP, slot=slot, argument=size))
                live -= size
            else:
                calls.append(run.alloc(sizes(rng, step)))
                held.append((calls[-1].slot, calls[-1].argument))
                live += calls[-1].argument
                peak = max(peak, live)
            if len(calls) % 20 == 0:
                calls.append(Call(FREE_COUNT))
        run.batch(calls, look=False)
        run.reclaim()
        low = min([low] + [call.value for call in calls if call.op == FREE_COUNT])
    pages = run.free_then - low + (run.model.arena[1] - run.model.arena[0]) // box.PAGE
    run.give_back()
    return peak / (pages * box.PAGE)


MIXTURES = (lambda rng, step: rng.randrange(100, 1000),
            lambda rng, step: rng.randrange(1, 400) if rng.random() < 0.9 else rng.randrange(1, 8000),
            lambda rng, step: 100 + 20 * step + rng.randrange(60))


def plan(run):
    run.boot(16 * KIB)
    run.now = "heap-cost"
    found = {"few": instructions(run, FEW), "many": instructions(run, MANY)}
    run.now = "heap-memory"
    found["memory"] = sum(utilisation(run, sizes) for sizes in MIXTURES) / len(MIXTURES)
    return found


def costs(verdicts, scenario, options, start):
    """start(name, guest): a run of the subject."""
    def measure(elf):
        found = {}
        with Guest(elf, random.Random(f"{options.seed} heap costs"), 16 * MIB, 1, icount=True) as guest:
            guest.config["heap"] = scenario.variant
            run = start(scenario.text, verdicts, guest, "heap-cost")
            if not verdicts.attempt(run, lambda r: found.update(plan(r))):
                return None
        return found

    mine = measure(options.elf)
    if not mine:
        return False
    theirs = options.reference.costs(scenario, measure)
    most, name = 12 * theirs["many"] + 20, scenario.text
    growth, expected = [max(found["many"], 1) / max(found["few"], 1) for found in (mine, theirs)]
    verdicts.measured[f"{name}: heap-cost"] = {"instructions": round(mine["many"], 1), "reference": round(theirs["many"], 1)}
    verdicts.measured[f"{name}: heap-growth"] = {"factor": round(growth, 2), "reference": round(expected, 2)}
    verdicts.measured[f"{name}: heap-memory"] = {"utilisation": round(mine["memory"], 3), "reference": round(theirs["memory"], 3)}
    if mine["many"] > most:
        verdicts.fail(Violation("heap-cost", f"at most {most:.0f} instructions a call, beside {MANY} blocks",
                                f"{mine['many']:.0f}; reference: {theirs['many']:.0f}"))
    worst = max(2 * expected, 1.25 * MANY / FEW)   # a search over all holes is as right as one that ends early
    if growth > worst:
        verdicts.fail(Violation("heap-growth", f"with {MANY // FEW} times the blocks at most {worst:.1f} times the instructions",
                                f"{growth:.1f} times; reference: {expected:.1f}"))
    if mine["memory"] < 0.8 * theirs["memory"]:
        verdicts.fail(Violation("heap-memory", f"at the peak {80 * theirs['memory']:.0f} percent of the heap's pages are in use",
                                f"{100 * mine['memory']:.0f} percent; reference: {100 * theirs['memory']:.0f}"))
    return True
