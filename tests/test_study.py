"""make study: its program measures every heap; where the tools for plots are (tools/setup study), all its files come out."""

import json
import pathlib
import subprocess
import tempfile

from suite import HEAPS, TOP, expect_that, make, test

PLOTTER = subprocess.run(["sh", "tools/doctor", "--plotter"], cwd=TOP, capture_output=True, text=True).stdout.strip()
MISSING = subprocess.run(["sh", "tools/doctor", "--missing", "study"], cwd=TOP, capture_output=True, text=True).stdout.split()


def study(*arguments):
    make("build/host/study")
    result = subprocess.run(["build/host/study", *arguments], cwd=TOP, capture_output=True, text=True)
    expect_that(result.returncode == 0, f"study {arguments}: {result.stdout}{result.stderr}")
    return result.stdout.splitlines()


@test(weight=10)
def every_heap_is_measured():
    expect_that(study("heaps") == HEAPS, "study knows other heaps than HEAPS")
    for heap in HEAPS:
        held = [[int(word) for word in line.split(",")] for line in study("memory", heap, "2000")[1:]]
        expect_that({row[0] for row in held} == {1, 2, 3, 4, 5}, f"{heap}: an act is missing: {held}")
        expect_that(all(asked <= had for _, _, asked, had in held), f"{heap} holds less than is asked for: {held}")
        for name, number in (("cost", "64"), ("time", "1"), ("adversaries", "256")):
            expect_that(len(study(name, heap, number)) > 3, f"study {name} {heap} says nothing")


if not MISSING:
    @test(weight=20)
    def all_files_are_written():
        make("build/host/study")
        with tempfile.TemporaryDirectory(prefix="quire-") as folder:
            result = subprocess.run([PLOTTER, "tests/study.py", "--small", "--out", folder], cwd=TOP, capture_output=True, text=True)
            expect_that(result.returncode == 0, result.stdout + result.stderr)
            out = pathlib.Path(folder)
            data = json.loads((out / "study.json").read_text(encoding="utf-8"))
            expect_that(sorted(data) == ["adversaries", "cost", "memory", "time"], f"studies: {list(data)}")
            for name, heaps in data.items():
                expect_that(list(heaps) == HEAPS and all(heaps.values()), f"{name}: {list(heaps)}")
                svg = (out / f"{name}.svg").read_text(encoding="utf-8")
                expect_that(svg.count("<path") > len(HEAPS), f"{name}.svg is empty")
            expect_that(all(rows[0]["instructions"] > 5 for rows in data["cost"].values()), "no instructions were counted")
            page, tables = ((out / file).read_text(encoding="utf-8") for file in ("index.html", "study.md"))
            expect_that(all(f"{name}.svg" in page for name in data), "index.html lacks a plot")
            expect_that(all(heap in tables for heap in HEAPS), "study.md lacks a heap")
