"""The power goes during file work: see power_loss.py."""

import power_loss
from suite import Failure, test


@test(weight=50, cases=[1, 2])
def thirty_cuts_with_seed(seed):
    def report(ok, text):
        if not ok:
            raise Failure(f"seed {seed}, {text}")
    power_loss.chain(seed, 30, report)
