"""Scenarios by name: "pages.alone stack" is the scenario `alone` of the subject `pages`, whose engine is then `stack`.

A subject is a module of this folder with
    CHECKS      check: (the invariant in a sentence, functions where to look: the first that the submission has is named)
    ENOUGH      check: how often it must have been looked at for a pass; who refuses everything breaks no rule
    SCENARIOS   name: the checks that it must have come through with
    VARIANTS    engines, heaps: the first is taken where none is named
    play(verdicts, scenario, options)    plays one scenario; true when it came to its end
"""

import importlib
import pathlib


class Unknown(Exception):
    """There is no such scenario; the text says which there are."""


class Scenario:
    def __init__(self, text):
        self.text = text
        subject, _, rest = text.partition(".")
        self.name, _, self.variant = rest.partition(" ")
        try:
            self.subject = subject_named(subject)
            self.carries = self.subject.SCENARIOS[self.name]
        except (ModuleNotFoundError, KeyError) as error:
            raise Unknown(f"there is no scenario {text}; there are " + ", ".join(all_scenarios())) from error
        self.variant = self.variant or self.subject.VARIANTS[0]
        if self.variant not in self.subject.VARIANTS:
            raise Unknown(f"{subject} knows no {self.variant}; it knows " + ", ".join(self.subject.VARIANTS))

    def play(self, verdicts, options):
        return self.subject.play(verdicts, self, options)


def subject_names():
    here = pathlib.Path(__file__).parent
    return [path.stem for path in sorted(here.glob("*.py")) if "\nSCENARIOS = " in path.read_text(encoding="utf-8")]


def subject_named(name):
    if name not in subject_names():
        raise ModuleNotFoundError(name)
    return importlib.import_module("guest." + name)


def all_scenarios():
    return [f"{name}.{scenario}" for name in subject_names() for scenario in subject_named(name).SCENARIOS]
