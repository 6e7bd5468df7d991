"""What a test file needs: the decorators that name and order tests, and the helpers of machine.py."""

import os
import pathlib
import re

from machine import DISK, TOP, Failure, Machine, expect_that, make, patience, qemu_command  # noqa: F401  (for test files)

tests = []
HEAPS = re.findall(r"&heap_(\w+)", pathlib.Path(os.path.join(TOP, "mm/kmalloc.c")).read_text(encoding="utf-8"))   # by their names
ENGINES = ("buddy", "bitmap", "stack")


class Test:
    def __init__(self, name, function, arguments, weight):
        self.name, self.function, self.arguments, self.weight = name, function, arguments, weight


def test(weight=5, cases=None):
    """Registers a test: `@test()`; with cases, once for each tuple of arguments: `@test(cases=[(1, "64M"), (4, "1G")])`."""
    def register(function):
        group = function.__module__.removeprefix("test_")
        name = f"{group}: {function.__name__.replace('_', ' ')}"
        for case in cases or [()]:
            arguments = case if isinstance(case, tuple) else (case,)
            tests.append(Test(" ".join([name, *map(str, arguments)]), function, arguments, weight))
        return function
    return register
