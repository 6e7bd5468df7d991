"""The judge of the page allocator: right kernels get all points, each fault is caught by the check that is meant for it, attacks gain
nothing. `make test` takes a part of grading/faulty, `make test-graders` (QUIRE_GRADERS=whole) all of it at more seeds."""

import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import types
import zlib

from suite import TOP, Failure, expect_that, make, patience, test

sys.path[:0] = [os.path.join(TOP, "grading"), os.path.join(TOP, "labs")]

import build  # noqa: E402
import skeleton  # noqa: E402
from guest import heaps_model, mailbox, pages_model, tables_model  # noqa: E402

WHOLE = os.environ.get("QUIRE_GRADERS") == "whole"
# At least one for each kind of check; races, which show by chance, are left to `make test-graders`.
SHORT = ("wrong-buddy", "lost-remainder", "zero-skipped-when-recycled", "zero-too-much", "dma-limit-off-by-one",
         "reserve-ignored", "order-unchecked", "free-ignores-references", "double-free-accepted", "count-without-caches",
         "reservation-rounded-inwards", "stack-unaligned", "linear-search", "always-none", "always-the-same")
HEADING = re.compile(r"^(what|caught by|keeps|scenario): *(.*)$", re.M)


def patches(folder, short=None):
    """Of a folder of grading/, those that name a scenario: PATH without its ending."""
    top = pathlib.Path(TOP, "grading")
    found = [path for path in sorted(top.glob(f"{folder}/*.patch")) if "\nscenario: " in path.read_text(encoding="utf-8")]
    return [str(path.relative_to(top))[:-6] for path in found if WHOLE or not short or path.stem.removeprefix("guest-") in short]


def heading(path):
    return dict(HEADING.findall(pathlib.Path(path).read_text(encoding="utf-8")))


def expect_built(name, result):
    """A patch that does not fit the tree any more would fail every check, and prove nothing."""
    expect_that("compile" not in (result["voided"] or ""), f"{name}: {result['checks'][0].get('failure')}")


def judged(*arguments):
    """The judge's result; a failure of the judge itself is ours."""
    make("kernel", "JUDGE=1")
    with tempfile.TemporaryDirectory(prefix="judged-") as directory:
        out = os.path.join(directory, "result.json")
        done = subprocess.run([os.path.join(TOP, "grading/judge"), "--out", out, *arguments], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=patience(240), check=False)
        if done.returncode:
            raise Failure(f"the judge ends with status {done.returncode}:\n{done.stdout}{done.stderr}")
        with open(out, encoding="utf-8") as file:
            return json.load(file)


@test(weight=12, cases=[("buddy", 4, 11), ("stack", 8, 12), ("bitmap", 1, 13)])
def right_kernel_passes_all_checks(engine, harts, seed):
    scenarios = [f"{name} {engine}" for name in ("pages.alone", "pages.holes", "pages.harts", "pages.misuse", "pages.costs")]
    result = judged(*scenarios, "--harts", str(harts), "--seed", str(seed))
    expect_all_passed(result, f"the reference with {engine}")


@test(weight=4, cases=patches("faulty/*", SHORT))
def fault_is_caught(name):
    """By a check that the patch names, with an explanation that says where to look."""
    path = os.path.join(TOP, "grading", name + ".patch")
    told = heading(path)
    races = ".harts" in told["scenario"]
    for seed in (1, 2, 3) if WHOLE else (1,):
        result = judged("--patch", path, told["scenario"], "--seed", str(seed))
        expect_built(name, result)
        failed = {check["name"]: check for check in result["checks"] if check["status"] == "failed"}
        caught = [failed[check] for check in told["caught by"].split() if check in failed]
        if not caught and races and seed != 3 and WHOLE:
            continue   # a rare race: once in three seeds is enough
        expect_that(caught, f"seed {seed}: {told['what']} {told['caught by']} does not fail, but {', '.join(failed) or 'nothing'}")
        failure = caught[0]["failure"]
        expect_that(failure["expected"] and failure["actual"] and failure["place"], f"an explanation that explains nothing: {failure}")
        if races:
            break


@test()
def every_patch_fits():
    """Also those that only make test-graders takes."""
    for path in sorted(pathlib.Path(TOP, "grading").glob("*/*/*.patch")):
        command = ["patch", "-p1", "-s", "-f", "--dry-run", "-i", str(path)]
        done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
        expect_that(done.returncode == 0, f"{path} does not fit the tree: {done.stdout}")


@test()
def explanation_shows_the_calls_before_the_failure():
    """However long the batch is in which it is found; and names functions, not their attributes."""
    for module, fields in ((pages_model, {"slots": {}}), (tables_model, {})):
        model = module.Model.__new__(module.Model)
        model.__dict__.update(history=[], found=[], examined=collections.Counter(), **fields)
        calls = [mailbox.Call(mailbox.NOTHING) for _ in range(200)]
        for ticket, call in enumerate(calls):
            call.begin, call.end = 2 * ticket, 2 * ticket + 1
        model.replay(calls, False)
        expect_that(model.history[-200:] == calls, f"{module.__name__} forgets calls of the batch that it replays")
    with build.Tree() as tree:
        expect_that(tree.places_of(["fill_block"])[0][2] == "fill_block", "fill_block is not found")


@test(cases=[(0, "passed"), (16, "refused")])
def hole_counts_only_where_a_page_is_the_heaps(before, said):
    """A block may end where a page does, and another piece's records, of any size, begin there: 05/bitmap was refused at seed 15."""
    page = 0xffffffc080e20000
    model = heaps_model.Model.__new__(heaps_model.Model)
    blocks = {start: types.SimpleNamespace(end=start + size) for start, size in ((page - 1024 + before, 1024), (page + 1616, 64))}
    model.__dict__.update(policy="first_fit", widest=None, bases=sorted(blocks), blocks=blocks, found=[], examined=collections.Counter())
    model._refused(mailbox.Call(heaps_model.ALLOC, argument=1400))
    expect_that(("refused" if model.found else "passed") == said, f"a hole from {before} on is {said}")


# --- no right solution is refused

def solutions():
    """(lab, name) of grading/correct, whose files replace those of mm/; in short one of each lab: the host's checks see all of them."""
    found = [(path.parent.name, path.name) for path in sorted(pathlib.Path(TOP, "grading/correct").glob("[0-9][0-9]/*")) if path.is_dir()]
    return found if WHOLE else list({number: (number, name) for number, name in found}.values())


def scenarios_of(number):
    return skeleton.find_lab(TOP, number).scenarios


def expect_all_passed(result, what):
    lost = [f"{check['name']}: {check['failure']}" for check in result["checks"] if check["status"] != "passed"]
    expect_that(not lost, f"{what} is refused:\n" + "\n".join(lost))


def accepted(number, files, what, seeds):
    """files: {name in mm/: text}. All of the lab's scenarios at each seed; 1 to 8 harts in turn."""
    with build.Tree() as tree:
        for name, text in files.items():
            tree.put(f"mm/{name}", text.encode())
        kernel = tree.kernel()
        for seed in seeds:
            harts = 1 + seed % 8
            result = judged("--kernel", kernel, "--seed", str(seed), "--harts", str(harts), *scenarios_of(number))
            expect_all_passed(result, f"{what}, seed {seed}, {harts} harts")


@test(weight=12, cases=solutions())
def other_right_solution_is_accepted(number, name):
    files = {path.name: path.read_text(encoding="utf-8") for path in pathlib.Path(TOP, "grading/correct", number, name).iterdir()}
    accepted(number, files, f"{number}/{name}", range(1, 51) if WHOLE else (zlib.crc32(name.encode()) % 1000,))


def renamed(text):
    """Every static function has another name."""
    names = set(re.findall(r"^static (?:_Noreturn |inline |__attribute__\(\(.*?\)\) )*[\w ]+?[ *](\w+)\(", text, re.M))
    return "".join(f"#define {name} {name}_of_mine\n" for name in sorted(names)) + text


EDITS = {
    "unoptimized": lambda text: '#pragma GCC optimize("O0")\n' + text,
    "renamed": renamed,
    "one-table-more": lambda text: text + "\nextern uint64_t more_of_mine[1024];\nuint64_t more_of_mine[1024] = { 1 };\n",
    "nothing-inline": lambda text: re.sub(r"^static (?!inline|const|struct \w+ \w+ =)(?=[\w *]+\()", "static __attribute__((noinline)) ",
                                          text, flags=re.M),
}


@test(weight=12, cases=[(lab.number, edit) for lab in skeleton.find_labs(TOP) for edit in EDITS
                        if WHOLE or (edit, lab.number) in (("unoptimized", "03"), ("unoptimized", "04"), ("renamed", "05"))])
def harmless_edit_changes_nothing(number, edit):
    lab = skeleton.find_lab(TOP, number)
    names = [name.removeprefix("mm/") for name in lab.files if name.endswith(".c")]
    files = {name: EDITS[edit](pathlib.Path(TOP, "mm", name).read_text(encoding="utf-8")) for name in names}
    if edit == "one-table-more":
        files = {name: text.replace("more_of_mine", f"more_of_{name[:-2]}") for name, text in files.items()}
    accepted(number, files, f"lab {number}, {edit}", (1, 2, 3) if WHOLE else (1,))


# --- no attack gains anything

@test(weight=3, cases=patches("hostile/*"))
def attack_gains_nothing(name):
    """Each of these stops working, or leaves something out. What an honest kernel that did so would pass, it may keep."""
    path = os.path.join(TOP, "grading", name + ".patch")
    told = heading(path)
    result = judged("--patch", path, told["scenario"], "--seed", "1")
    expect_built(name, result)
    passed = [check["name"] for check in result["checks"] if check["status"] == "passed"]
    expect_that(set(passed) <= set(told.get("keeps", "").split()), f"{name} passes {', '.join(passed)}")
    expect_that(all(check["failure"]["why"] or check["failure"]["actual"] for check in result["checks"] if check["status"] != "passed"),
                "a failed check without a word")


@test()
def kernel_that_does_not_compile_is_judged():
    with tempfile.TemporaryDirectory(prefix="judged-") as directory:
        os.mkdir(os.path.join(directory, "mm"))
        pathlib.Path(directory, "mm/page_buddy.c").write_text("this is no C\n", encoding="utf-8")
        result = judged("--files", directory, "pages.alone")
    expect_that("page_buddy.c" in result["checks"][0]["failure"]["said"], json.dumps(result["checks"][0], indent=1))
    expect_that(all(check["status"] == "failed" for check in result["checks"]), json.dumps(result, indent=1))


@test()
def patch_on_other_files_is_refused():
    with tempfile.TemporaryDirectory(prefix="judged-") as directory:
        path = pathlib.Path(directory, "makefile.patch")
        path.write_text("--- a/Makefile\n+++ b/Makefile\n@@ -1 +1 @@\n-# Quire\n+all:; touch /tmp/owned\n", encoding="utf-8")
        result = judged("--patch", str(path), "pages.alone")
    expect_that("not a file of mm/" in result["checks"][0]["failure"]["said"], str(result["checks"][0]))
