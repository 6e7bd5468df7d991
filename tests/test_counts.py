"""Costs that the source promises in instructions: they repeat exactly for a given compiler."""

import bench_segregated
from suite import expect_that, make, test


@test(weight=6)
def no_call_into_the_segregated_heap_takes_more_than_150():
    make("build/host/bench_segregated")
    games = bench_segregated.figures(20)
    if games is None:   # no process may be traced here
        return
    expect_that(len(games) == 4 and all(calls["free"][0] > 5 for calls in games.values()), f"too little is counted: {games}")
    worst = {call: max(calls[call][2] for calls in games.values()) for call in bench_segregated.CALLS}
    expect_that(max(worst.values()) <= 150, f"the worst of each call: {worst}")
