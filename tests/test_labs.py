"""The labs: trees without answers, checks that turn green with their own step, and the faults that each of them must catch."""

import concurrent.futures
import os
import pathlib
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

from suite import TOP, Failure, expect_that, make, patience, test

sys.path.insert(0, os.path.join(TOP, "labs"))

import judge  # noqa: E402
import skeleton  # noqa: E402

LABS = skeleton.find_labs(TOP)
NUMBERS = [lab.number for lab in LABS]
CACHE = os.path.join(TOP, "build/labs")
FLAGS = ("-std=gnu11 -O1 -g -pthread -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all -DMM_CHECK=1 -Wall "
         "-Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes").split()
HOLES = ["-Wno-unused-parameter", "-Wno-unused-function", "-Wno-unused-variable", "-Wno-unused-const-variable"]


def lab_of(number):
    return skeleton.find_lab(TOP, number)


def copy_of_reference(lab, directory):
    """The files that a lab's checks are made from, in a folder of their own."""
    for pattern in (*lab.link, *lab.files, "mm/*.h", "mm/host/*.h", "labs/host/*", f"labs/{lab.folder.name}/*"):
        for path in pathlib.Path(TOP).glob(pattern):
            target = pathlib.Path(directory, path.relative_to(TOP))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def judged(lab, tree, seed=1, flags=(), names=()):
    try:
        return judge.judge(lab, tree, "gcc", FLAGS + list(flags), CACHE, seed, names)
    except judge.DoesNotCompile as error:
        raise Failure(f"does not compile:\n{error}")


def in_words(results):
    return "\n".join(f"    {r['check']}: {r['end']}: {r['actual']} {r['said'][-600:] if r['end'] != 'ok' else ''}" for r in results)


@test(weight=20, cases=NUMBERS)
def reference_gets_full_marks(number):
    lab = lab_of(number)
    for seed in (1, 2, 3):
        results = judged(lab, TOP, seed)
        expect_that(all(r["end"] == "ok" for r in results), f"seed {seed}:\n{in_words(results)}")
    expect_that((lab.points(), lab.guest_points()) == (60, 40), f"{lab.points()} points on the host, {lab.guest_points()} in the guest")
    expect_that(all(len(step["hints"]) == 2 for step in lab.steps), "a step has two hints")
    lines = len((lab.folder / "README.md").read_text().splitlines())
    expect_that(80 <= lines <= 200, f"the handout has {lines} lines")


@test(weight=20, cases=NUMBERS)
def steps_turn_green_one_by_one(number):
    """With the functions of the first n steps written, the checks of just those steps pass, and the others name a hole."""
    lab = lab_of(number)
    with tempfile.TemporaryDirectory(prefix="quire-") as tree:
        copy_of_reference(lab, tree)
        for done in range(len(lab.steps)):
            written = [step["id"] for step in lab.steps[:done]]
            points = 0
            for file in lab.files:
                text = pathlib.Path(TOP, file).read_text()
                lines = text.splitlines()
                for function in reversed(skeleton.tagged_functions(text)):
                    if function.lab == lab.number and function.step not in written:
                        lines[function.opens + 1:function.closes] = [skeleton.hole(function, "the handout")]
                pathlib.Path(tree, file).write_text("\n".join(lines) + "\n")
            has_holes = {f.step for file in lab.files for f in skeleton.tagged_functions(pathlib.Path(TOP, file).read_text())}
            results = judged(lab, tree, flags=HOLES)
            for result in results:
                missing = has_holes - set(written)
                good = result["step"] in written or not missing
                if result["step"] not in has_holes and result["end"] == "ok":   # it needs less than all of them
                    good = True
                expect_that(result["end"] == ("ok" if good else "hole"), f"with {written} written:\n{in_words(results)}")
                expect_that(good or result["hole"] in missing, f"with {written} written, {result['check']} names {result['hole']}")
                points += result["points"]
            expect_that(done > 0 or points == lab.floor, f"the skeleton gets {points} points, the manifest says {lab.floor}")


def faults():
    found = []
    for lab in LABS:
        for path in sorted(pathlib.Path(TOP, "grading/faulty", lab.number).glob("*.patch")):
            heading = dict(re.findall(r"^(what|caught by|scenario): (.+)$", path.read_text(), re.M))
            if "scenario" not in heading:   # those are the guest judge's: test_judge.py
                found.append((lab, path, heading["what"], heading["caught by"]))
    return found


def files_of_step(lab, step):
    """Those with a function of it to write."""
    functions = {file: skeleton.tagged_functions(pathlib.Path(TOP, file).read_text(encoding="utf-8")) for file in lab.files}
    return {file for file in lab.files if any(function.step == step for function in functions[file])}


def is_caught(lab, path, what, caught):
    """None, or what went wrong."""
    with tempfile.TemporaryDirectory(prefix="quire-") as tree:
        copy_of_reference(lab, tree)
        patched = subprocess.run(["patch", "-s", "-p1", "-d", tree, "-i", str(path)], capture_output=True, text=True)
        if patched.returncode:
            return f"{path.name} does not apply: {patched.stdout}{patched.stderr}"
        try:
            results = judged(lab, tree, flags=HOLES, names=caught.split())
        except Failure as failure:
            return f"{path.name}: {failure}"
        result = next((result for result in results if result["end"] != "ok"), None)
        if not result:
            return f"{path.name} ({what}) is not caught by {caught}:\n{in_words(results)}"
        if not result["rule"] or not result["actual"] or not result["place"] or not result["calls"]:
            return f"{path.name} is not explained: {result}"
        meant = set(re.findall(r"^\+\+\+ b/(\S+)", path.read_text(encoding="utf-8"), re.M)) & files_of_step(lab, result["step"])
        if meant and "#0 " not in result.get("said", "") and result["place"][0] not in meant:
            return f"{path.name}: the explanation sends the student to another file than {meant}: {result}"


@test(weight=60, cases=NUMBERS)
def faults_are_caught_by_their_checks(number):
    lab = lab_of(number)
    judge.build(lab, TOP, "gcc", FLAGS, CACHE)   # what all have in common, once
    mine = [fault for fault in faults() if fault[0].number == number]
    expect_that(len(mine) >= 12, f"{len(mine)} faults for lab {number}: at least 12")
    if os.environ.get("QUIRE_GRADERS") != "whole":   # make test-graders sets it
        mine = mine[::max(1, len(mine) // 10)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        wrong = [answer for answer in pool.map(lambda fault: is_caught(*fault), mine) if answer]
    expect_that(not wrong, "\n".join(wrong))


@test(weight=20, cases=NUMBERS)
def other_correct_solutions_get_full_marks(number):
    lab = lab_of(number)
    solutions = [path for path in sorted(pathlib.Path(TOP, "grading/correct", number).iterdir()) if path.is_dir()]
    expect_that(len(solutions) >= 3, "three solutions that differ from the reference, at least")
    for solution in solutions:
        with tempfile.TemporaryDirectory(prefix="quire-") as tree:
            copy_of_reference(lab, tree)
            for file in solution.iterdir():
                shutil.copy(file, os.path.join(tree, "mm", file.name))
            for seed in range(1, 51) if os.environ.get("QUIRE_GRADERS") == "whole" else (1, 25):   # 25: 05/bitmap was refused once
                results = judged(lab, tree, seed)
                expect_that(all(r["end"] == "ok" for r in results), f"{solution.name}, seed {seed}:\n{in_words(results)}")


# --- trees ------------------------------------------------------------------------------------------------------------------------

def normal(line):
    return re.sub(r"\s+", "", line)


def answers(lab):
    """Lines that stand in the bodies of the lab's functions and nowhere else."""
    bodies, elsewhere = set(), set()
    for name in skeleton.tracked(TOP):
        if name.startswith("grading/"):
            continue
        text = pathlib.Path(TOP, name).read_text(encoding="utf-8", errors="replace")
        lines = text.splitlines()
        inside = set()
        for function in skeleton.tagged_functions(text) if name.startswith(("mm/", "kernel/")) else []:
            if function.lab == lab.number:
                inside |= set(range(function.opens + 1, function.closes))
        for number, line in enumerate(lines):
            (bodies if number in inside else elsewhere).add(normal(line))
    return {line for line in bodies - elsewhere if len(line) > 10}


@test(weight=10, cases=NUMBERS)
def release_has_no_answers(number):
    lab = lab_of(number)
    expect_that(len(answers(lab)) > 10, f"only {len(answers(lab))} lines are answers of lab {number}")
    secret = set().union(*map(answers, LABS))
    with tempfile.TemporaryDirectory(prefix="quire-") as directory:
        command = ["make", "-s", "release", f"LAB={number}", f"DEST={directory}"]
        result = subprocess.run(command, cwd=TOP, capture_output=True, text=True)
        expect_that(result.returncode == 0, result.stdout + result.stderr)
        tree = pathlib.Path(directory, lab.folder.name)
        files = [path for path in tree.rglob("*") if path.is_file()]
        expect_that(len(files) > 100, f"{len(files)} files were released")
        for path in files:
            name = path.relative_to(tree)
            expect_that(not {".git", "faulty", "correct", "hostile"} & set(name.parts), f"{name} is in the release")
            known = path.suffix in (".c", ".h", ".S", ".md", ".py", ".ld", ".awk", ".toml", ".mk", ".j2", "")
            expect_that(known or name.parts[0] in ("prebuilt", "tests"), f"{name}: what is this?")
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                expect_that(normal(line) not in secret, f"an answer is in {name}: {line}")
        again = subprocess.run(command, cwd=TOP, capture_output=True, text=True)
        expect_that(again.returncode != 0 and "is there already" in again.stderr, "a release overwrites what is there")


class Tree:
    """A student's tree, as make lab makes it."""
    def __init__(self, number):
        self.lab = lab_of(number)
        self.environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        self.environment["QUIRE_LAB_CACHE"] = CACHE   # objects of what the student does not write

    def make(self, *arguments):
        result = subprocess.run(["make", "-s", *arguments], cwd=self.path, capture_output=True, text=True, env=self.environment)
        expect_that(result.returncode == 0, f"make {' '.join(arguments)} in a student's tree:\n{result.stdout}{result.stderr}")
        return result.stdout + result.stderr

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="quire-")
        self.path = os.path.join(self.directory.name, "work")
        command = ["make", "-s", "lab", f"LAB={self.lab.number}", f"DIR={self.path}"]
        result = subprocess.run(command, cwd=TOP, capture_output=True, text=True, env=self.environment)
        expect_that(result.returncode == 0, result.stdout + result.stderr)
        return self

    def __exit__(self, *_):
        self.directory.cleanup()


@test(weight=20, cases=NUMBERS)
def a_student_works(number):
    """make check on the skeleton, on something that does not compile, after the answer was written; hints; watch."""
    with Tree(number) as tree:
        said = tree.make("check")
        first = tree.lab.steps[0]
        expect_that(f"{tree.lab.floor} of {tree.lab.points()} points" in said, said)
        expect_that(f"Next: {first['id']}" in said and "\033" not in said, said)
        expect_that(max(map(len, said.splitlines())) <= 80, f"wider than the terminal:\n{said}")
        hint = tree.make("hint", f"STEP={first['id']}")
        expect_that("     " not in hint.replace("\n     ", " "), hint)
        expect_that(first["hints"][0][:20] in hint and first["hints"][1][:20] not in hint, hint)
        expect_that(first["hints"][1][:20] in tree.make("hint", f"STEP={first['id']}", "N=2"), "no second hint")
        watch = subprocess.Popen(["python3", "labs/tool", "watch", "--lab", number, "--flags", " ".join(FLAGS + HOLES)], cwd=tree.path,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            wait_for(watch, "Watching")
            for file in tree.lab.files:
                shutil.copy(os.path.join(TOP, file), os.path.join(tree.path, file))
            wait_for(watch, f"{tree.lab.points()} of {tree.lab.points()} points")
        finally:
            watch.kill()
            watch.wait()
        said = tree.make("check")
        expect_that(f"{tree.lab.points()} of {tree.lab.points()} points" in said, said)
        other = next(lab.files[0] for lab in LABS if lab.number != number)   # an earlier lab's answer, of the student's own
        expect_that(os.path.exists(os.path.join(tree.path, "prebuilt/host", other + ".o")), f"{other} does not come as an object")
        shutil.copy(os.path.join(TOP, other), os.path.join(tree.path, other))
        said = tree.make("grade")
        expect_that("100 of 100" in said, said)
        with open(os.path.join(tree.path, tree.lab.files[0]), "a") as file:
            file.write("wibble\n")
        said = tree.make("check")
        expect_that("does not compile" in said and "wibble" in said, said)


def wait_for(process, text, seconds=30):
    deadline, said = time.monotonic() + patience(seconds), ""
    while text not in said:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            raise Failure(f"no {text!r}:\n{said}")
        data = os.read(process.stdout.fileno(), 65536)
        if not data:
            raise Failure(f"ended before {text!r}:\n{said}")
        said += data.decode()


@test(weight=30, cases=NUMBERS)
def skeleton_boots_to_its_first_hole(number):
    """The kernel with holes builds with -Werror, starts, and stops with a panic that names the step."""
    lab = lab_of(number)
    make("kernel")
    with Tree(number) as tree:
        for path in pathlib.Path(TOP, "build/kernel").rglob("*.o"):   # what students do not write need not be compiled again
            source = str(path.relative_to(os.path.join(TOP, "build/kernel")))[:-2]
            target = pathlib.Path(tree.path, "build/kernel", source + ".o")
            if source not in lab.files and os.path.exists(os.path.join(tree.path, source)):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
        built = tree.make("-j2", "kernel", "CHECK=0")
        expect_that("warning" not in built, built)
        command = ["qemu-system-riscv64", "-machine", "virt", "-bios", "default", "-m", "128M", "-smp", "1", "-nographic", "-append",
                   lab.boot, "-kernel", os.path.join(tree.path, "build/kernel/quire.elf")]
        qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            wait_for(qemu, f"Lab {lab.steps[0]['id']} is yet to be written: see labs/{lab.folder.name}/README.md", 60)
        finally:
            qemu.kill()
            qemu.wait()


@test(weight=2)
def trees_are_made_only_where_they_fit():
    lab = "LAB=" + NUMBERS[0]
    for arguments, complaint in (((), "say which lab"), (("LAB=99", "DIR=/tmp/x"), "there is no lab 99"), ((lab,), "say where"),
                                 ((lab, "DIR=."), "is there already")):
        result = subprocess.run(["make", "-s", "lab", *arguments], cwd=TOP, capture_output=True, text=True)
        expect_that(result.returncode != 0 and complaint in result.stderr, result.stdout + result.stderr)
        expect_that("Traceback" not in result.stderr, result.stderr)
    expect_that("03" in make("labs"), "make labs does not list them")
    text = "// Lab 2.5: clears.\nstatic __attribute__((noinline)) pa_t fill(pa_t block)\n{\n}\n"
    expect_that(skeleton.tagged_functions(text)[0].name == "fill", "an attribute is taken for a function's name")
