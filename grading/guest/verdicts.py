"""What became of each check: passed, failed with an explanation, or not reached because of another failure."""

import collections

from explain import no_failure
from guest.machine import Ended


class Violation(Exception):
    """A rule that does not hold: which check, where, what was expected, what was found. fatal: the model cannot go on from here."""

    def __init__(self, check, expected, actual, address=None, call=None, fatal=False):
        super().__init__(f"{check}: expected {expected}; {actual}")
        self.check, self.expected, self.actual, self.address, self.call, self.fatal = check, expected, actual, address, call, fatal


class Verdicts:
    """scenarios: those that are played, by name; every check of each must be proved in all that carry it."""

    def __init__(self, scenarios):
        self.carriers = {name: scenario.carries for name, scenario in scenarios.items()}
        self.told, self.enough = {}, {}                 # check: (invariant, function); how often it must have been looked at
        self.needs = {}                                 # check: another, without which its evidence is not believed
        for scenario in scenarios.values():
            carried = scenario.carries
            self.told |= {check: scenario.subject.CHECKS[check] for check in carried}
            self.needs |= getattr(scenario.subject, "NEEDS", {})
            self.enough |= {check: scenario.subject.ENOUGH[check] for check in carried if check in scenario.subject.ENOUGH}
        self.failures, self.proofs, self.measured = {}, set(), {}
        self.examined = collections.Counter()
        self.stops = {}                                 # boot: why it did not come to its end
        self.order, self.voided = [], None

    def void(self, why, detail="", told=None):
        """Evidence is worth nothing: no check has points."""
        self.voided = (why, detail, told)

    def proved(self, scenario, check=None):
        self.proofs |= {(scenario, name) for name in ([check] if check else self.carriers.get(scenario, ()))}

    def fail(self, violation, run=None):
        if violation.check not in self.failures:
            self.failures[violation.check] = self._explain(violation, run)
            self.order.append(violation.check)

    def attempt(self, run, scenario):
        """Runs it; true when it came to its end."""
        try:
            scenario(run)
            return True
        except Violation as violation:
            run.settle(violation)
            self.stops.setdefault(run.name, str(violation))
        except Ended as ended:
            if ended.kind == "tampered":
                kept = "memory that the guest has no business with stays as it is"
                told = self._explain(Violation(run.now, kept, str(ended), ended.address), run)
                self.order.insert(0, run.now)
                self.void(str(ended), ended.detail, told)
            else:
                self._ended(run, ended)
            self.stops.setdefault(run.name, str(ended))
        finally:
            if run.model:
                self.examined.update(run.model.examined)
        return False

    def _ended(self, run, ended):
        if run.model:
            run.model.history += ended.running
        expected = "the call returns" if ended.running else "an answer"
        violation = Violation(run.now, expected, str(ended), None, ended.running[0] if ended.running else None)
        if run.now not in self.failures:
            self.fail(violation, run)
            self.failures[run.now]["said"] = ended.detail

    def _explain(self, violation, run):
        model = run.model if run else None
        told = {"scenario": run.name if run else "costs", "expected": violation.expected, "actual": violation.actual, "said": "",
                "calls": [], "map": ""}
        if model:
            told["calls"] = [model.describe(call) for call in self._until(model.history, violation.call)][-6:]
            told["map"] = model.map_around(violation.address)
        return told

    @staticmethod
    def _until(history, call):
        for at, other in enumerate(history):
            if other is call:
                return history[:at + 1]
        return history + ([call] if call else [])

    # --- the result

    def _status(self, check):
        scenarios = [s for s, checks in self.carriers.items() if check in checks]
        if self.voided or check in self.failures:
            return "failed"
        if any((s, check) not in self.proofs for s in scenarios) or self.needs.get(check) in self.failures:
            return "not reached"
        return "passed" if self.examined[check] >= self.enough.get(check, 0) else "not reached"

    def _failure(self, check, submission):
        """What the reader needs: expected, actual, calls, map, said, place; or why nothing is known."""
        told = self.voided[2] if self.voided else self.failures.get(check)
        why, detail = "", ""
        if self.voided:
            why, detail = f"no evidence counts: {self.voided[0]}", self.voided[1]
        elif not told and self.needs.get(check) in self.failures:
            why = f"what the guest noted down of it counts only when {self.needs[check]} passes"
        elif not told:
            why = "nothing is known of it: " + ("; ".join(self.stops.values()) or "too few cases were seen")
        failure = no_failure() | {"why": why, "said": detail}
        if told:
            failure |= {key: value for key, value in told.items() if value or not failure[key]}
            functions = self.told[self.order[0] if self.voided else check][1].split()
            failure["place"], *more = submission.places_of(functions) or [[None, None, functions[0]]]
            failure["also"] = [name for _, _, name in more if name != failure["place"][2]][:3]
        return failure

    def result(self, submission):
        """One entry a check, failures first, in the order in which they came up."""
        wanted = sorted(self.told, key=lambda check: self.order.index(check) if check in self.order else len(self.order))
        checks = []
        for name in wanted:
            status = self._status(name)
            entry = {"name": name, "status": status, "invariant": self.told[name][0], "examined": self.examined[name]}
            if status != "passed":
                entry["failure"] = self._failure(name, submission)
            checks.append(entry)
        return {"checks": checks, "voided": self.voided[0] if self.voided else None, "measured": self.measured}
