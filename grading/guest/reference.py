"""What the reference costs, by which a submission is judged: measured in the same run; in a tree without the reference, recorded before.

A subject calls costs(scenario, measure): measure(elf) plays the plan on that kernel and returns what can be written as JSON, or None
when it did not come to its end.
"""

import json

from guest.machine import Broken


class Reference:
    def __init__(self, elf):
        self.elf, self.seen = elf, {}

    def costs(self, scenario, measure):
        found = measure(self.elf)
        if found is None:
            raise Broken(f"the reference does not come through {scenario.text}")
        self.seen[scenario.text] = found
        return found

    def record(self, path, seed):
        """Writes down what was measured, with the seed that the plan came from."""
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"seed": seed, "costs": self.seen}, file, indent=1)
            file.write("\n")


class Recorded:
    """The same, read from such a file. It is for one seed."""

    def __init__(self, path):
        try:
            with open(path, encoding="utf-8") as file:
                read = json.load(file)
            self.seed, self.seen = read["seed"], read["costs"]
        except (OSError, ValueError, KeyError) as error:
            raise Broken(f"{path} does not tell the reference's costs: {error}") from error

    def costs(self, scenario, measure):
        del measure
        if scenario.text not in self.seen:
            raise Broken(f"the reference's costs were not recorded for {scenario.text}")
        return self.seen[scenario.text]
