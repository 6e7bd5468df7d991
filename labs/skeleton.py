"""Labs as files: manifests, the tagged functions of the reference, and trees that students work in.

A function belongs to a lab's step when its doc comment starts with `// Lab 3.2: `. That is all that the source knows of labs.
"""

import os
import pathlib
import re
import shutil
import subprocess

try:
    import tomllib
except ModuleNotFoundError:   # before Python 3.11
    import tomli as tomllib

TAG = re.compile(r"^// Lab (\d+)\.(\d+): ")
# Not for students: how marks are proved, what tests the reference alone, the project's own machinery.
LEFT_OUT = ("grading/faulty/", "grading/correct/", "grading/hostile/", "grading/README.md", "tests/test_labs.py", "tests/test_judge.py",
            "tests/test_grade.py", "tests/test_inspect.py", "labs/README.md", ".ci/", ".devcontainer/")


PUBLIC_SEED = "1"   # the students' own; a grader takes others


class Problem(Exception):
    """What a person did or has to do; printed without a traceback."""


class Lab:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.number = self.folder.name[:2]
        with open(self.folder / "manifest.toml", "rb") as file:
            manifest = tomllib.load(file)
        self.title, self.files, self.link = manifest["title"], manifest["files"], manifest["link"]
        self.floor, self.steps, self.boot = manifest["floor"], manifest["step"], manifest.get("boot", "")
        self.scenarios, self.guest_checks = manifest["guest"]["scenarios"], manifest["guest"]["checks"]   # grading/guest/scenarios.py

    def checks(self):
        """(step, check, points) in the manifest's order."""
        return [(step, name, points) for step in self.steps for name, points in step["checks"].items()]

    def points(self):
        """Of the checks on the host; those of the guest have the rest of 100."""
        return sum(points for _, _, points in self.checks())

    def guest_points(self):
        return sum(self.guest_checks.values())


def find_labs(top):
    return [Lab(path.parent) for path in sorted(pathlib.Path(top, "labs").glob("[0-9][0-9]-*/manifest.toml"))]


def find_lab(top, number):
    labs = find_labs(top)
    for lab in labs:
        if number and lab.number == number.zfill(2):
            return lab
    raise Problem(f"{'there is no lab ' + number if number else 'say which lab'}: LAB=" + ", ".join(lab.number for lab in labs))


class Function:
    """A tagged function: lines are numbered from 0; the body lies between the braces at `opens` and `closes`."""
    def __init__(self, step, name, opens, closes, signature):
        self.step, self.name, self.opens, self.closes, self.signature = step, name, opens, closes, signature

    @property
    def lab(self):
        return self.step.split(".")[0].zfill(2)


def tagged_functions(text):
    lines, found = text.splitlines(), []
    for number, line in enumerate(lines):
        tag = TAG.match(line)
        if not tag:
            continue
        start = number
        while start < len(lines) and lines[start].startswith("//"):
            start += 1
        opens = next((i for i in range(start, min(start + 8, len(lines))) if lines[i] == "{"), None)
        if opens is None:
            raise Problem(f"line {number + 1}: a tag that no function follows: {line}")
        closes = lines.index("}", opens)
        signature = " ".join(lines[start:opens])
        name = re.search(r"(\w+)\(", re.sub(r"__attribute__\(\(.*?\)\)", "", signature)).group(1)
        found.append(Function(f"{int(tag.group(1))}.{tag.group(2)}", name, opens, closes, signature))
    return found


def hole(function, handout):
    return f'\tport_panic("Lab {function.step} is yet to be written: see {handout}", 0);'


def with_holes(text, lab):
    """The text with the bodies of this lab's functions replaced."""
    lines = text.splitlines()
    for function in reversed(tagged_functions(text)):
        if function.lab == lab.number:
            lines[function.opens + 1:function.closes] = [hole(function, f"labs/{lab.folder.name}/README.md")]
    return "\n".join(lines) + "\n"


def tracked(top):
    result = subprocess.run(["git", "ls-files", "-z", "--cached"], cwd=top, capture_output=True, text=True)
    if result.returncode or not result.stdout:
        raise Problem("a tree for a lab is made from a git checkout of the reference" + (f": {result.stderr}" if result.stderr else ""))
    return [name for name in sorted(result.stdout.split("\0")) if name and os.path.isfile(os.path.join(top, name))]


LAB_MK = """# Written by make lab: this tree is one lab's. A hole uses neither its parameters nor the helpers that its body will need.
LAB := {number}
WARN += -Wno-unused-parameter -Wno-unused-function -Wno-unused-variable -Wno-unused-const-variable
"""


def hidden_files(top, lab):
    """What holds answers of other labs."""
    names = [name for name in tracked(top) if name.startswith(("mm/", "kernel/")) and name.endswith((".c", ".h"))]
    texts = {name: pathlib.Path(top, name).read_text(encoding="utf-8") for name in names}
    return [name for name, text in texts.items() if name not in lab.files and "// Lab " in text and tagged_functions(text)]


def make_tree(top, lab, destination):
    """A fresh tree in `destination`, which must not exist or be empty: the reference with this lab's holes. Answers the names of the
    sources that are left out, for which objects are needed."""
    destination = pathlib.Path(destination)
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise Problem(f"{destination} is there already: a lab needs a new folder")
    others = tuple(f"labs/{other.folder.name}/" for other in find_labs(top) if other.number != lab.number)
    hidden = hidden_files(top, lab)
    for name in tracked(top):
        if name.startswith(LEFT_OUT + others) or name in hidden:
            continue
        target = destination / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(os.path.join(top, name), target)
        if name in lab.files:
            target.write_text(with_holes(target.read_text(encoding="utf-8"), lab), encoding="utf-8")
    (destination / "lab.mk").write_text(LAB_MK.format(number=lab.number), encoding="utf-8")
    return hidden


VARIANTS = {"kernel": "0", "kernel-check1": "1", "kernel-check2": "2"}


def prebuild(top, destination, hidden, compiler, flags):
    """Objects of what is left out, without names of local things: for each kernel, for programs, for the checks on the host."""
    prefix = subprocess.run(["sh", "tools/doctor", "--prefix"], cwd=top, capture_output=True, text=True).stdout.strip()
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}

    def run(*command):
        result = subprocess.run(command, cwd=top, capture_output=True, text=True, env=environment)
        if result.returncode:
            raise Problem(f"{' '.join(command)}:\n{result.stdout}{result.stderr}")

    def place(folder, name):
        target = pathlib.Path(destination).resolve() / "prebuilt" / folder / f"{name}.o"
        target.parent.mkdir(parents=True, exist_ok=True)
        return str(target)
    for folder, level in VARIANTS.items() if hidden else ():
        run("make", "-s", "-j2", f"CHECK={level}", *(f"build/{folder}/{name}.o" for name in hidden),
            *(f"build/user/obj/{name}.o" for name in hidden))
        for name in hidden:
            run(prefix + "objcopy", "-g", "-x", f"build/{folder}/{name}.o", place(folder, name))
    for name in hidden:
        run(prefix + "objcopy", "-g", "-x", f"build/user/obj/{name}.o", place("user", name))
        run(compiler, *flags, "-g0", "-c", name, "-o", place("host", name))


def record_costs(top, destination, lab):
    """What the reference costs under the students' seed: they do not have it to compare with."""
    scenarios = [text for text in lab.scenarios if ".costs" in text]
    target = pathlib.Path(destination).resolve() / "prebuilt/costs.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    command = ["python3", "grading/judge", "--seed", PUBLIC_SEED, "--record", str(target), *scenarios]
    done = subprocess.run(command, cwd=top, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Problem(f"the reference's costs cannot be measured: {done.stderr}")
