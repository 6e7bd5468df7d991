"""Builds the kernel under the judge's driver: the tree's own, and one with a submission's files in a copy of the tree.

Only files of ALLOWED are taken from a submission. A patch or folder that brings others is refused.
"""

import fcntl
import fnmatch
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from guest import Broken

TOP = pathlib.Path(__file__).resolve().parent.parent
ALLOWED = ("mm/page*.c", "mm/page*.h", "mm/memblock.c")
KERNEL = "build/kernel-judge/quire.elf"
PARTS = ("mm", "kernel", "grading/driver", "tools")
MOST_BYTES = 1 << 20
BUILD_SECONDS = 300


def make(top):
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return subprocess.run(["make", "-s", "-j2", "kernel", "JUDGE=1"], cwd=top, env=environment, stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=BUILD_SECONDS, check=False)


def compiler_version():
    prefix = subprocess.run(["sh", "tools/doctor", "--prefix"], cwd=TOP, capture_output=True, text=True, check=False).stdout.strip()
    try:
        out = subprocess.run([prefix + "gcc", "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return "?"
    return out.splitlines()[0] if out else "?"


def reference():
    """The kernel of this tree; several judges may ask at once."""
    os.makedirs(TOP / "build", exist_ok=True)
    with open(TOP / "build/judge.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = make(TOP)
    if done.returncode:
        raise Broken("the reference does not build:\n" + done.stdout + done.stderr)
    return str(TOP / KERNEL)


def allowed(name):
    return ".." not in name.split("/") and any(fnmatch.fnmatchcase(name, p) and name.count("/") == 1 for p in ALLOWED)


class Submission:
    """A built kernel in a folder of its own, or `error`."""

    def __init__(self, patches, files, kernel):
        self.patches, self.files, self.kernel, self.error = patches, files, kernel, None
        self.top, self.directory = TOP, None

    def __enter__(self):
        if not self.kernel:
            self.directory = tempfile.TemporaryDirectory(prefix="judge-build-")
            self.top = pathlib.Path(self.directory.name)
            self._copy()
            try:
                self._take()
                self._build()
            except (ValueError, OSError) as error:
                self.error = str(error)
        return self

    def __exit__(self, *_):
        if self.directory:
            self.directory.cleanup()

    def _copy(self):
        for part in PARTS:
            shutil.copytree(TOP / part, self.top / part, symlinks=True, ignore=shutil.ignore_patterns("host", "__pycache__"))
        shutil.copy2(TOP / "Makefile", self.top)
        shutil.copytree(TOP / "build/kernel-judge", self.top / "build/kernel-judge")

    def _take(self):
        for patch in self.patches:
            text = pathlib.Path(patch).read_text(encoding="utf-8")
            for name in re.findall(r"^(?:---|\+\+\+) (\S+)", text, re.M):
                if name != "/dev/null" and not allowed(name.partition("/")[2]):
                    raise ValueError(f"{name} is not a file of this lab")
            done = subprocess.run(["patch", "-p1", "-s", "-f"], input=text, cwd=self.top, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ValueError("the patch does not fit: " + done.stdout + done.stderr)
        if self.files:
            for pattern in ALLOWED:
                for path in sorted(pathlib.Path(self.files).glob(pattern)):
                    if path.is_symlink() or not path.is_file() or path.stat().st_size > MOST_BYTES:
                        raise ValueError(f"{path.name} is no plain file of at most {MOST_BYTES >> 10} KiB")
                    shutil.copyfile(path, self.top / "mm" / path.name)

    def _build(self):
        try:
            done = make(self.top)
        except subprocess.TimeoutExpired as error:
            raise ValueError(f"compiling takes more than {BUILD_SECONDS} s") from error
        if done.returncode:
            raise ValueError((done.stdout + done.stderr)[-4000:])
        self.kernel = str(self.top / KERNEL)

    def source_line(self, function):
        """file:line of a function's definition, as the submission has it."""
        for path in sorted((self.top / "mm").glob("*.c")):
            for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
                if re.match(rf"[a-z][\w *]*\b{re.escape(function)}\(", line) and not line.endswith(";"):
                    return f"mm/{path.name}:{number}"
        return None
