"""One boot under the judge: makes batches of calls, replays them in the subject's model, hands violations to the verdicts.

What a model is asked for: replay(calls, alone), look() while the guest is parked, describe(call), map_around(address); and it keeps
`slots` (what is in use, by slot), `history` (calls), `examined` (how often each check was looked at) and `found` (violations after
which it can go on).
"""

from guest import mailbox as box
from guest.machine import Ended
from guest.mailbox import Call
from guest.verdicts import Violation


class Run:
    """`now` names the check that is being worked on: it is the one that fails when the guest does not come back."""

    def __init__(self, name, verdicts, guest, now):
        self.name, self.verdicts, self.guest, self.now = name, verdicts, guest, now
        self.only = None           # whatever is found counts against this check
        self.instead = {}          # check: the one that a violation of it counts against just now
        self.free_slots = list(range(box.SLOTS - 1, -1, -1))
        self.model = None

    # --- what came of it

    def came_through(self, *checks):
        """These keep their points, whatever comes after them. Rules hold for a whole scenario, so they are not among these."""
        for check in checks:
            self.verdicts.proved(self.name, check)

    def settle(self, violation):
        violation.check = self.only or self.instead.get(violation.check, violation.check)
        self.verdicts.fail(violation, self)

    def expect(self, condition, check, expected, actual, address=None):
        self.model.examined[check] += 1
        if not condition:
            self.settle(Violation(check, expected, actual, address))

    # --- calls

    def slot(self):
        return self.free_slots.pop()

    def reclaim(self):
        """Slots without a block can be used again."""
        self.free_slots = [s for s in range(box.SLOTS - 1, -1, -1) if s not in self.model.slots]

    def batch(self, *shares, look=True):
        """Hart i makes the calls shares[i]; then their results are replayed, and memory is looked at."""
        alone = sum(1 for share in shares if share) == 1
        del self.model.history[:-60]   # now, not after it: what is found in this batch is explained by all of its calls
        try:
            self.guest.batch(shares)
        except Ended as ended:
            try:
                self._settling(self.model.replay, ended.ended, alone)   # what led there, perhaps
            except Violation as violation:
                if ended.kind != "tampered":
                    raise
                self.settle(violation)
            raise
        self._settling(self.model.replay, [call for share in shares for call in share], alone)
        if look:
            self._settling(self.model.look)

    def _settling(self, function, *arguments):
        try:
            function(*arguments)
        finally:
            for violation in self.model.found:
                self.settle(violation)
            self.model.found.clear()

    # --- beginnings of plans

    def start_pages(self, check="start"):
        """page_init on the memory that there is, then the other harts."""
        self._start(box.PAGE_INIT, check, "page_init returns true")
        self.start_harts()

    def start_tables(self, check="start"):
        """The kernel's page table and vmalloc as well, between the two. The table's root, a physical address."""
        self._start(box.PAGE_INIT, check, "page_init returns true")
        satp = self._start(box.TABLE_INIT, check, "the kernel's page table is built, and vmalloc_init returns true")
        self.start_harts()
        return (satp & (1 << 44) - 1) * box.PAGE

    def _start(self, op, check, expected):
        self.now = check
        call = Call(op)
        self.batch([call], look=False)
        if not call.value:
            raise Violation(check, expected, "it returned false", fatal=True)
        self.model.examined[check] += 1
        return call.value

    def start_harts(self):
        if self.guest.harts > 1:
            self.batch([Call(box.START_HARTS)], look=False)
            self.guest.running = self.guest.harts
