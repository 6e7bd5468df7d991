"""Costs that the source promises in instructions: they repeat exactly for a given compiler."""

import ctypes
import os

import bench_segregated
from suite import expect_that, make, test


def may_trace():
    """Whether this system lets a process be traced, as counting needs."""
    child = os.fork()
    if child == 0:
        os._exit(ctypes.CDLL(None).ptrace(0, 0, None, None) != 0)   # PTRACE_TRACEME
    return os.waitpid(child, 0)[1] == 0


if may_trace():
    @test(weight=6)
    def no_call_into_the_segregated_heap_takes_more_than_150():
        make("build/host/bench_segregated")
        games = bench_segregated.figures(20)
        expect_that(games and len(games) == 4 and all(calls["free"][0] > 5 for calls in games.values()), f"too little is counted: {games}")
        worst = {call: max(calls[call][2] for calls in games.values()) for call in bench_segregated.CALLS}
        expect_that(max(worst.values()) <= 150, f"the worst of each call: {worst}")
