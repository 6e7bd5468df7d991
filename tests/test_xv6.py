"""Programs written for xv6: dropped into user/ of a scratch copy of the tree, they compile unmodified and are on the disk."""

import os
import shutil
import subprocess
import tempfile

from suite import TOP, Machine, expect_that, make, test


def scratch_copy(to):
    """The tree without its history; what has been built comes along, so that only what is new is compiled."""
    make("all")
    ignore = shutil.ignore_patterns(".git", "__pycache__", "host", "labs", "fuzz", "kernel-*", "user-*")
    for name in ("Makefile", "kernel", "mm", "user", "tools", "build", "README.md"):
        source = os.path.join(TOP, name)
        if os.path.isdir(source):
            shutil.copytree(source, os.path.join(to, name), ignore=ignore, symlinks=True)
        elif os.path.exists(source):
            shutil.copy2(source, to)


@test(weight=30)
def programs_dropped_into_user():
    with tempfile.TemporaryDirectory(prefix="quire-") as directory:
        tree = os.path.join(directory, "tree")
        os.mkdir(tree)
        scratch_copy(tree)
        programs = sorted(os.listdir(os.path.join(TOP, "tests/xv6")))
        for name in programs:
            shutil.copy(os.path.join(TOP, "tests/xv6", name), os.path.join(tree, "user"))
        os.mkdir(os.path.join(tree, "user/two"))
        with open(os.path.join(tree, "user/two/main.c"), "w") as out:
            out.write('#include "kernel/types.h"\n#include "user/user.h"\nint other(void);\n'
                      'int main(void) { printf("two files %d\\n", other()); exit(0); }\n')
        with open(os.path.join(tree, "user/two/other.c"), "w") as out:
            out.write("int other(void);\nint other(void) { return 2; }\n")
        image = os.path.join(directory, "fs.img")
        environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        result = subprocess.run(["make", "-s", "image"], cwd=tree, capture_output=True, text=True, env=environment)
        expect_that(result.returncode == 0, result.stdout + result.stderr)
        os.rename(os.path.join(tree, "build/fs.img"), image)
        with Machine(smp=2, extra=["-snapshot"], image=image) as m:
            m.boot()
            expect_that("prime 31\n" in m.sh("primes"), m.tail())
            expect_that("names: all there in names, call 11\n" in m.sh("names"), m.tail())
            expect_that("edition22: ok -22 22 two tw %\n" in m.sh("edition22"), m.tail())
            expect_that("edition25: ok -1 -2 100000000 200000000 3 0x" in m.sh("edition25"), m.tail())
            m.sh("mkdir a; mkdir a/b; echo > a/b/wanted; echo > a/wanted")
            expect_that(m.sh("find a wanted").split() == ["a/b/wanted", "a/wanted"], m.tail())
            expect_that(m.sh("two") == "two files 2\n", m.tail())
