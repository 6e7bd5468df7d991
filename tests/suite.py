"""What a test file needs: the decorators that name and order tests, and the helpers of machine.py."""

import pathlib
import re

from machine import DISK, TOP, Failure, Machine, expect_that, make, patience, qemu_command  # noqa: F401  (for test files)

tests = []


def listed(file, prefix):
    """The allocators that a list in the source names, so that tests need no list of their own."""
    listing = pathlib.Path(TOP, file).read_text(encoding="utf-8").partition("[] = {")[2].partition("};")[0]
    return re.findall(r"&" + prefix + r"(\w+)", listing)


HEAPS, ENGINES = listed("mm/kmalloc.c", "heap_"), listed("mm/page_init.c", "page_")


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
