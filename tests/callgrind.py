"""Instructions of a program's work, counted by callgrind: exact, and the same in each run."""

import pathlib
import re
import subprocess
import sys
import tempfile


def total(command, environment=None):
    """Of the whole program."""
    with tempfile.NamedTemporaryFile(prefix="quire-") as counts:
        result = subprocess.run(["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={counts.name}", *map(str, command)],
                                env=environment, capture_output=True, text=True)
        if result.returncode:
            sys.exit(f"valgrind {' '.join(map(str, command))}: status {result.returncode}\n{result.stderr}")
        return int(re.search(r"^(?:totals|summary): (\d+)", pathlib.Path(counts.name).read_text(encoding="utf-8"), re.M)[1])


def each(command, few, environment=None):
    """Of one operation: `command` and a number of operations, run for few and for twice as many, so that starting up does not count."""
    return (total([*command, 2 * few], environment) - total([*command, few], environment)) / few
