"""Checks that students do not have: a folder of the instructor's, which no tree that is handed out contains.

    hidden.toml     seed = "a secret"                 every submission's seed is made of it and of what was handed in
                    [checks]                          on the host: CHECK(name) in the folder's *.c, which include "labs/host/judge.h"
                    early = 5
                    [scenarios]                       in the guest: points for coming through with every check
                    "pages.harts buddy" = 10
"""

import hashlib
import hmac
import pathlib

from guest.scenarios import Scenario
from skeleton import Problem, tomllib

STEP = {"id": "hidden", "title": "A hidden check"}


class Hidden:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder).resolve()
        try:
            with open(self.folder / "hidden.toml", "rb") as file:
                manifest = tomllib.load(file)
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise Problem(f"{folder}: a folder of hidden checks has a hidden.toml: {error}") from error
        self.seed, self.checks, self.points = manifest.get("seed", ""), manifest.get("checks", {}), manifest.get("scenarios", {})
        unknown = set(manifest) - {"seed", "checks", "scenarios"}
        if unknown or not all(isinstance(points, int) for points in (*self.checks.values(), *self.points.values())):
            raise Problem(f"{self.folder}/hidden.toml: seed, [checks] and [scenarios] with whole points; there is {', '.join(unknown)}")
        self.scenarios = {text: Scenario(text) for text in self.points}

    def host_checks(self):
        return [(STEP, name, points) for name, points in self.checks.items()]

    def sources(self):
        return sorted(self.folder.glob("*.c"))


def seed_for(secret, files):
    """Differs by submission, and can be made again from the same files and the same secret."""
    total = hmac.new(secret.encode(), digestmod=hashlib.sha256)
    for name in sorted(files):
        total.update(name.encode() + b"\0" + hashlib.sha256(files[name]).digest())
    return total.hexdigest()[:16]


def number_of(seed):
    """The host's checks draw from a number: the seed itself where it is one."""
    if seed.isdigit() and len(seed) < 19:
        return int(seed)
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:7], "big")
