"""The claim of a CPU's stock (mm/slab_magazine.h, slab_stock.c), step by step in every order, where stores are late and out of order.

One CPU takes and gives objects on the short way and, when that fails, on the long one; another claims the stock twice, as kmem_reap does.
The owner's stores wait, and may arrive at any time, those to one place in their order, as RISC-V allows; all have arrived when a barrier
of the other is over. What top leads to is loaded after top, since it depends on it. The machine that runs these tests is stronger than
that, and so is QEMU on it, so that no run of the kernel would show a mistake of this kind.
"""

from typing import NamedTuple

from suite import expect_that, test

NOTHING = -1   # SLAB_NOTHING
SLOTS = 3
PROGRAMS = [("take", "take", "give"), ("take", "give", "take"), ("take", "give", "give"), ("take", "take", "take")]


class Broken(Exception):
    pass


class State(NamedTuple):
    memory: tuple                    # top (a number of objects, or NOTHING), busy, state, kept, and the slots
    late: tuple = ()                 # the owner's stores that have not arrived, oldest first: (place, value)
    owner: tuple = ("enter", 0, 0)   # where it is, how many calls are done, the top that it has loaded
    other: tuple = ("claim", 0, 0)   # where it is, how many claims are done, whether it saw the owner idle
    mine: tuple = (3,)               # objects in the hands of the owner
    theirs: tuple = ()               # given back by the other to the slabs

    def at(self, place):
        return self.memory[PLACES.index(place)]

    def put(self, **values):
        return self._replace(memory=tuple(values.get(place, old) for place, old in zip(PLACES, self.memory)))

    def seen(self, place):   # by the owner: its own latest store, or what has arrived
        return next((value for where, value in reversed(self.late) if where == place), self.at(place))

    def store(self, place, value):
        return self._replace(late=self.late + ((place, value),))

    def arrived(self):
        state = self._replace(late=())
        for place, value in self.late:
            state = state.put(**{place: value})
        return state


PLACES = ("top", "busy", "state", "kept", "slot0", "slot1", "slot2")
START = State((2, 0, "open", NOTHING, 1, 2, 0))


def owner(state, program):
    """The state after the owner's next step; None when it has no more."""
    where, done, top = state.owner
    if done == len(program):
        return None
    take = program[done] == "take"

    def go(state, where, top=top, done=done):
        return state._replace(owner=(where, done, top))

    if where == "enter":
        return go(state.store("busy", 1), "look")
    if where == "look":
        top = state.seen("top")
        no_way = top == NOTHING or (top == 0 if take else top == SLOTS or not state.mine)
        return go(state, "leave for the long way" if no_way else "slot", top)
    if where == "slot" and take:
        return go(state._replace(mine=state.mine + (state.seen(f"slot{top - 1}"),)), "top", top - 1)
    if where == "slot":
        return go(state.store(f"slot{top}", state.mine[-1])._replace(mine=state.mine[:-1]), "top", top + 1)
    if where == "top":
        return go(state.store("top", top), "leave")
    if where == "leave":
        return go(state.store("busy", 0), "enter", 0, done + 1)
    if where == "leave for the long way":
        return go(state.store("busy", 0), "long way")
    # The claim is atomic and comes after its earlier stores; nobody changes what it has claimed, so that the rest is one step, too.
    state = state.arrived()
    if state.at("state") == "open":
        top = state.at("top")
        if top == NOTHING:
            raise Broken("an open stock without a top")
        if take and top > 0:
            state = state._replace(mine=state.mine + (state.at(f"slot{top - 1}"),)).put(top=top - 1)
    return go(state, "enter", 0, done + 1)


def other(state, barriers):
    """The same for the one who claims."""
    where, done, idle = state.other
    if done == 2:
        return None

    def go(state, where, idle=idle, done=done):
        return state._replace(other=(where, done, idle))

    if where == "claim":
        return go(state.put(state="claimed"), "take top") if state.at("state") == "open" else go(state, "claim", 0, done + 1)
    if where == "take top":
        return go(state.put(kept=state.at("top"), top=NOTHING), "barrier 1")
    if where == "barrier 1":
        return go(state.arrived() if 1 in barriers else state, "busy?")
    if where == "busy?":
        return go(state, "barrier 2", state.at("busy") == 0)
    if where == "barrier 2":
        return go(state.arrived() if 2 in barriers else state, "ours?")
    if where == "ours?":
        return go(state, "empty" if idle and state.at("top") == NOTHING else "put top back")
    if where == "empty" and state.at("kept") > 1:   # leaves one object, so that the short way has something to do
        kept = state.at("kept") - 1
        return state._replace(theirs=state.theirs + (state.at(f"slot{kept}"),)).put(kept=kept)
    if where == "empty":
        return go(state, "put top back")
    if where == "put top back":
        return go(state.put(top=state.at("kept")) if state.at("top") == NOTHING else state, "open")
    return go(state.put(state="open"), "claim", 0, done + 1)


def successors(state, program, barriers):
    for i, (place, value) in enumerate(state.late):
        if all(where != place for where, _ in state.late[:i]):
            yield state._replace(late=state.late[:i] + state.late[i + 1:]).put(**{place: value})
    yield from (after for after in (owner(state, program), other(state, barriers)) if after)


def explore(program, barriers):
    """How many states there are; Broken when an object is lost, or in two hands."""
    seen, todo = {START}, [START]
    while todo:
        state = todo.pop()
        after = list(successors(state, program, barriers))
        if not after:
            objects = sorted(state.mine + state.theirs + tuple(state.at(f"slot{i}") for i in range(state.at("top"))))
            if objects != [1, 2, 3]:
                raise Broken(f"{program}: in the end there are objects {objects}")
        for each in after:
            if each not in seen:
                seen.add(each)
                todo.append(each)
    return len(seen)


@test(weight=5)
def no_object_is_lost_or_doubled():
    for program in PROGRAMS:
        expect_that(explore(program, {1, 2}) > 1000, f"{program}: too few states")


@test(weight=5)
def each_barrier_is_needed():
    for barriers in ({1}, {2}, set()):
        broken = []
        for program in PROGRAMS:
            try:
                explore(program, barriers)
            except Broken as problem:
                broken.append(problem)
        expect_that(broken, f"with barriers {barriers} alone nothing goes wrong: this model does not see what they are for")
