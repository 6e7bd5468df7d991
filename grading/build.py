"""Builds kernels under the judge's driver: this tree's own, and one with other files in a copy of this tree.

Nothing of a submission but C files named by the caller comes into the copy: its Makefile, scripts and headers of the kernel are this
tree's own. A sandbox, where one is given, runs what reads the submission's text.
"""

import atexit
import fcntl
import functools
import os
import pathlib
import platform
import re
import shutil
import subprocess
import tempfile

from guest.machine import Broken

TOP = pathlib.Path(__file__).resolve().parent.parent
KERNEL = "build/kernel-judge/quire.elf"
PARTS = ("mm", "kernel", "grading/driver", "tools", "prebuilt")
BUILD_SECONDS = 120
COMMAND = ("make", "-s", "-j2", "kernel", "JUDGE=1")
LENIENT = ("WARN=-Wall",)   # a warning costs no marks


STUDENTS = (TOP / "lab.mk").exists()   # a tree to do a lab in: without the reference, and judged where it stands


class DoesNotBuild(Exception):
    """The text is what the compiler said."""


def environment():
    return {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}


def prefix():
    """Of the riscv64 toolchain."""
    return subprocess.run(["sh", "tools/doctor", "--prefix"], cwd=TOP, capture_output=True, text=True, check=False).stdout.strip()


def versions():
    def first_line(*command):
        try:
            out = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False).stdout
        except OSError:
            return "?"
        return out.splitlines()[0] if out else "?"
    return {"qemu": first_line("qemu-system-riscv64", "--version"), "python": platform.python_version(),
            "compiler": first_line(prefix() + "gcc", "--version")}


@functools.cache
def reference_build():
    """What this tree's kernel is built into, as a copy of this process's own: another judge, or a make beside it, may build it again
    while this one reads."""
    own = tempfile.TemporaryDirectory(prefix="quire-reference-")
    atexit.register(own.cleanup)
    os.chmod(own.name, 0o755)
    os.makedirs(TOP / "build", exist_ok=True)
    with open(TOP / "build/judge.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(COMMAND, cwd=TOP, env=environment(), stdin=subprocess.DEVNULL, text=True, capture_output=True, check=False)
        if done.returncode:
            raise Broken("the reference does not build:\n" + done.stdout + done.stderr)
        return shutil.copytree((TOP / KERNEL).parent, pathlib.Path(own.name, "build"))


def reference():
    """The kernel of this tree."""
    return str(reference_build() / pathlib.Path(KERNEL).name)


class Tree:
    """A copy of what the kernel is built from, in a folder that goes away with it; TOP itself as long as nothing is put into it."""

    def __init__(self):
        self.sandbox, self.top, self.directory, self.files = None, TOP, None, set()   # files: those that are the submission's

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.directory:
            self.directory.cleanup()

    def copy(self):
        """With the reference's objects, so that only what differs is compiled."""
        if self.directory:
            return
        built = reference_build()
        self.directory = tempfile.TemporaryDirectory(prefix="quire-build-")
        self.top = pathlib.Path(self.directory.name)
        for part in PARTS:
            if (TOP / part).exists():
                shutil.copytree(TOP / part, self.top / part, symlinks=True, ignore=shutil.ignore_patterns("host", "__pycache__"))
        for name in ("Makefile", "lab.mk"):
            if (TOP / name).exists():
                shutil.copy2(TOP / name, self.top)
        shutil.copytree(built, (self.top / KERNEL).parent, ignore=shutil.ignore_patterns("*.elf"))

    def put(self, name, data):
        self.copy()
        (self.top / name).write_bytes(data)
        (self.top / "build/kernel-judge" / f"{name}.o").unlink(missing_ok=True)   # the reference's, which nobody shall find and copy
        self.files.add(name)

    def patch(self, patches):
        for patch in patches:
            self.copy()
            text = pathlib.Path(patch).read_text(encoding="utf-8")
            for name in re.findall(r"^(?:---|\+\+\+) (\S+)", text, re.M):
                if not re.fullmatch(r"[ab]/mm/[\w-]+\.[ch]", name):
                    raise DoesNotBuild(f"{patch}: {name} is not a file of mm/")
                self.files.add(name[2:])
            done = subprocess.run(["patch", "-p1", "-s", "-f"], input=text, cwd=self.top, capture_output=True, text=True, check=False)
            if done.returncode:
                raise DoesNotBuild("the patch does not fit: " + done.stdout + done.stderr)

    def take_folder(self, folder):
        for path in sorted(pathlib.Path(folder).glob("mm/*.[ch]")) if folder else ():
            self.put(f"mm/{path.name}", path.read_bytes())

    def kernel(self):
        """Builds; the path of the ELF file."""
        if not self.sandbox:
            done = subprocess.run([*COMMAND, *LENIENT], cwd=self.top, env=environment(), stdin=subprocess.DEVNULL, text=True,
                                  capture_output=True, errors="replace", check=False)
        else:
            self.sandbox.own(self.top)
            done = self.sandbox.run([*COMMAND, *LENIENT, "CROSS=" + prefix()], cwd=self.top, seconds=BUILD_SECONDS)
            if done.stopped:
                raise DoesNotBuild(f"the compiler was stopped: {done.stopped}\n{done.stderr[-2000:]}")
        if done.returncode:
            raise DoesNotBuild((done.stdout + done.stderr)[-4000:])
        return str(self.top / KERNEL)

    def places_of(self, functions):
        """[file, line, function] of each of these functions that there is, those that stand in a file of the submission's first."""
        places = {}
        for path in sorted((self.top / "mm").glob("*.c")):
            for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
                found = re.match(r"[a-z][\w *]*\b(\w+)\(", re.sub(r"__attribute__\(\(.*?\)\) ?", "", line))
                if found and not line.endswith(";") and found.group(1) in functions:
                    places.setdefault((f"mm/{path.name}" in self.files, found.group(1)), [f"mm/{path.name}", number, found.group(1)])
        return [places[own, function] for own in (True, False) for function in functions if (own, function) in places]
