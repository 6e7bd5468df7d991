"""What became of each check: passed, failed with an explanation, or not reached because of another failure."""

from guest import Ended
from model import CHECKS, Violation, describe


class Verdicts:
    def __init__(self, carriers, enough):
        self.carriers, self.enough = carriers, enough   # scenario: its checks
        self.failures, self.proofs, self.measured = {}, set(), {}
        self.examined = dict.fromkeys(CHECKS, 0)
        self.stops = {}                                 # scenario: why it did not come to its end
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
                told = self._explain(Violation(run.now, "memory that the guest has no business with stays as it is", str(ended)), run)
                self.void(str(ended), ended.detail, told)
            else:
                self._ended(run, ended)
            self.stops.setdefault(run.name, str(ended))
        finally:
            if run.model:
                for check, times in run.model.examined.items():
                    self.examined[check] += times
        return False

    def _ended(self, run, ended):
        if run.model:
            run.model.history += ended.running
        expected = "the call returns" if ended.running else "an answer"
        violation = Violation(run.now, expected, str(ended), None, ended.running[0] if ended.running else None)
        if run.now not in self.failures:
            self.fail(violation, run)
            self.failures[run.now]["detail"] = ended.detail

    def _explain(self, violation, run):
        model = run.model if run else None
        told = {"scenario": run.name if run else "costs", "expected": violation.expected, "actual": violation.actual, "detail": ""}
        calls = []
        if model:
            calls = [describe(call) for call in self._until(model.history, violation.call)][-6:]
            told["map"] = model.map_around(violation.address)
        told["calls"] = calls
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
        if any((s, check) not in self.proofs for s in scenarios):
            return "not reached"
        return "passed" if self.examined[check] >= self.enough.get(check, 0) else "not reached"

    def _text(self, check, submission):
        if self.voided:
            why = "\n".join(filter(None, (f"No evidence counts: {self.voided[0]}.", self.voided[1])))
            return why + ("\n" + self._parts(check, self.voided[2], submission) if self.voided[2] else "")
        told = self.failures.get(check)
        if not told:
            why = "; ".join(self.stops.values()) or "too few cases were seen"
            return f"Nothing is known of it: {why}."
        return self._parts(check, told, submission)

    @staticmethod
    def _parts(check, told, submission):
        function = CHECKS[check][2]
        line = submission.source_line(function)
        parts = [f"expected: {told['expected']}", f"actual:   {told['actual']}"]
        if told["calls"]:
            parts += ["the last calls:"] + [f"  {call}" for call in told["calls"]]
        if told.get("map"):
            parts += ["memory there:", told["map"]]
        if told["detail"]:
            parts += ["what the guest said (no evidence):" if "harts are in" not in told["detail"] else "stopped in:"]
            parts += ["  " + text for text in told["detail"].splitlines()]
        parts.append(f"look at: {function}" + (f", {line}" if line else ""))
        return "\n".join(parts)

    def result(self, submission):
        wanted = [check for check in CHECKS if any(check in checks for checks in self.carriers.values())]
        wanted.sort(key=lambda check: self.order.index(check) if check in self.order else len(self.order))
        checks = []
        for name in wanted:
            status, points = self._status(name), CHECKS[name][0]
            entry = {"name": name, "status": status, "points": points, "score": points if status == "passed" else 0,
                     "invariant": CHECKS[name][1], "examined": self.examined[name]}
            if status != "passed":
                entry["explanation"] = self._text(name, submission)
                entry["evidence"] = self.failures.get(name, {})
            checks.append(entry)
        return {"score": sum(c["score"] for c in checks), "points": sum(c["points"] for c in checks), "checks": checks,
                "voided": self.voided[0] if self.voided else None, "measured": self.measured}
