"""libquire.so, the slab heap as a program's malloc: what malloc promises, and real programs that run on it."""

import filecmp
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

from suite import ENGINES, TOP, Failure, expect_that, make, patience, test

LIBRARY = os.path.join(TOP, "build/host/libquire.so")


def on_quire(*command, directory=TOP, seconds=120, expect=0):
    """What the program printed, run with libquire.so as its malloc; `expect` is its status, None: killed by abort()."""
    make("build/host/libquire.so", "build/host/malloc_check")
    environment = {**os.environ, "LD_PRELOAD": LIBRARY, "PYTHONMALLOC": "malloc"}   # Python would use an allocator of its own
    try:
        result = subprocess.run(command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                timeout=patience(seconds))
    except subprocess.TimeoutExpired as late:
        raise Failure(f"{command[0]} did not end in {late.timeout:.0f} s") from late
    wanted = -6 if expect is None else expect
    expect_that(result.returncode == wanted, f"{' '.join(command)[:200]}: status {result.returncode}, not {wanted}:\n"
                f"{result.stdout[-2000:]}{result.stderr[-2000:]}")
    return result.stdout + result.stderr


@test(weight=6, cases=["sizes", "alignments", "refusals", "gives-back", "threads", "trims", "forks", "forks-at-once", "limited"])
def keeps_the_promises_of(case):
    said = on_quire("build/host/malloc_check", case)
    expect_that(said == "", said)


@test(weight=1, cases=[("double", "double free"), ("foreign", "foreign pointer"), ("inside", "misaligned pointer")])
def a_mistake_is_named(case, rule):
    said = on_quire("build/host/malloc_check", case, expect=None)
    expect_that(said.startswith("libquire: slab: ") and rule in said, said)


@test(weight=2)
def is_really_used():
    """The library is loaded and takes its memory from the system itself, not from the malloc that it replaces."""
    said = on_quire(sys.executable, "-c", "print(open('/proc/self/maps').read())")
    expect_that("libquire.so" in said and "[heap]" not in said, f"there is a [heap], which only the C library's malloc makes:\n{said}")


PYTHON = """
import json, os, re, sqlite3, threading, zlib
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pool

def work(seed):
    table = {f"key {i}": [i, str(i) * (i % 50), {"inner": i / 7}] for i in range(seed, seed + 3000)}
    text = json.dumps(table)
    assert json.loads(text) == table
    assert zlib.decompress(zlib.compress(text.encode())) == text.encode()
    return len(re.findall(r"key [0-9]+", text))

assert [work(i) for i in range(3)] == [3000] * 3
with ThreadPoolExecutor(6) as pool:
    assert list(pool.map(work, range(12))) == [3000] * 12
with Pool(3) as pool:
    assert pool.map(work, range(6)) == [3000] * 6

database = sqlite3.connect("data.db")
database.execute("create table numbers (n integer primary key, name text)")
database.executemany("insert into numbers values (?, ?)", ((i, f"name {i * 7919 % 20011}") for i in range(20000)))
database.execute("create index names on numbers (name)")
database.commit()
after = sum(f"name {i * 7919 % 20011}" > "name 3" for i in range(20000))
assert database.execute("select count(*) from numbers where name > 'name 3'").fetchone() == (after,)
assert database.execute("pragma integrity_check").fetchone() == ("ok",)
assert len(database.execute("select a.n from numbers a join numbers b on a.name = b.name order by b.name desc").fetchall()) == 20000
"""


@test(weight=8)
def python_with_threads_children_and_a_database():
    with tempfile.TemporaryDirectory(prefix="quire-") as directory:
        on_quire(sys.executable, "-c", PYTHON, directory=directory)


@test(weight=10)
def gcc_compiles_the_kernel():
    """The kernel built with a compiler on libquire.so is the same kernel, to the byte."""
    make("kernel")
    with tempfile.TemporaryDirectory(prefix="quire-") as directory:
        tree = os.path.join(directory, "tree")
        shutil.copytree(TOP, tree, ignore=shutil.ignore_patterns("build", ".git"))
        environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        environment["LD_PRELOAD"] = LIBRARY
        make("build/host/libquire.so")
        result = subprocess.run(["make", "-s", "-j2", "kernel"], cwd=tree, env=environment, capture_output=True, text=True,
                                timeout=patience(300))
        expect_that(result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:])
        prefix = subprocess.run(["sh", "tools/doctor", "--prefix"], cwd=TOP, capture_output=True, text=True, check=True).stdout.strip()
        for name in ("quire.elf", "mm/slab.c.o"):   # debug information names the folder, so it is left out
            stripped = [os.path.join(directory, name.replace("/", "-") + number) for number in "12"]
            for source, target in zip((TOP, tree), stripped):
                subprocess.run([f"{prefix}objcopy", "--strip-debug", os.path.join(source, "build/kernel", name), target], check=True)
            expect_that(filecmp.cmp(*stripped, shallow=False), f"{name} differs")


@test(weight=5)
def sort_with_threads():
    lines = [str(random.Random(n).getrandbits(60)) for n in range(200000)]
    with tempfile.TemporaryDirectory(prefix="quire-") as directory:
        path = pathlib.Path(directory, "lines")
        path.write_text("\n".join(lines) + "\n", encoding="ascii")
        said = on_quire("env", "LC_ALL=C", "sort", "--parallel=4", "-S", "3M", "lines", directory=directory)
        expect_that(said.splitlines() == sorted(lines), "sort put them in another order")


@test(weight=5)
def git_keeps_a_repository():
    with tempfile.TemporaryDirectory(prefix="quire-") as directory:
        identity = ["-c", "user.name=Quire", "-c", "user.email=quire@example.org", "-c", "gc.auto=0"]

        def git(*arguments):
            return on_quire("git", *identity, *arguments, directory=directory)

        git("init", "-q", ".")
        for folder in ("mm", "kernel", "user"):
            shutil.copytree(os.path.join(TOP, folder), os.path.join(directory, folder))
            git("add", folder)
            git("commit", "-q", "-m", f"Add {folder}")
        git("gc", "-q", "--aggressive", "--prune=now")
        expect_that("dangling" not in git("fsck", "--full", "--strict"), "fsck complains")
        expect_that(len(git("log", "--stat", "--oneline").splitlines()) > 100, "log is short")
        git("clone", "-q", ".", "copy")
        expect_that(git("-C", "copy", "status", "--short") == "", "the clone is not clean")


@test(weight=10)
def benchmarks_measure_every_workload():
    """What make bench runs, shortened: each allocator that is here gets its figures, and the page benchmark its counts of locks."""
    make("build/host/libquire.so", "build/host/bench_malloc", "build/host/bench_page")
    with tempfile.TemporaryDirectory(prefix="quire-") as directory:
        result = subprocess.run([sys.executable, "tests/bench_malloc.py", "--rounds", "1", "--operations", "50000", "--times-only",
                                 "--out", directory], cwd=TOP, capture_output=True, text=True, timeout=patience(200))
        expect_that(result.returncode == 0, result.stdout + result.stderr)
        data = json.loads(pathlib.Path(directory, "malloc.json").read_text(encoding="utf-8"))
        expect_that(set(data) == {"pairs", "random", "kernel", "threads", "growth"}, str(list(data)))
        for workload, rows in data.items():
            expect_that({"glibc", "quire"} <= set(rows) and all(row["ns"] > 0 for row in rows.values()), f"{workload}: {rows}")
            expect_that(workload == "pairs" or 1 < rows["quire"]["overhead"] < 10, f"{workload}: {rows['quire']}")
    for engine in [*ENGINES, "list", "need"]:
        result = subprocess.run(["build/host/bench_page", engine, "3", "100"], cwd=TOP, capture_output=True, text=True)
        expect_that(result.returncode == 0, engine + result.stderr)
    result = subprocess.run(["build/host/bench_page", "threads", "8", "16000"], cwd=TOP, capture_output=True, text=True)
    expect_that(result.returncode == 0 and 0 < int(result.stdout.split()[1]) < 1000, result.stdout + result.stderr)
