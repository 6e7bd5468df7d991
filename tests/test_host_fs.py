"""The file system on the host, under sanitizers: every crash of a recorded run, full and failing disks, damaged images."""

import os
import pathlib
import subprocess
import tempfile

from suite import TOP, expect_that, make, test

WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes"]


@test(weight=60)
def crashes_limits_and_damage():
    make("build/host/mkfs")
    sources = [str(path) for folder in ("tests/host_fs", "kernel/fs") for path in sorted(pathlib.Path(TOP, folder).glob("*.c"))]
    flags = ["-std=gnu11", "-O1", "-g", *WARNINGS, "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    with tempfile.TemporaryDirectory(prefix="quire-") as directory:
        program = os.path.join(directory, "host_fs")
        command = ["gcc", *flags, "-Itests/host_fs/fake", "-Itests/host_fs", "-I.", *sources, "-o", program, "-lpthread"]
        build = subprocess.run(command, cwd=TOP, capture_output=True, text=True)
        expect_that(build.returncode == 0, build.stderr)
        run = subprocess.run([program, "build/host/mkfs", "1"], cwd=TOP, capture_output=True, text=True)
        expect_that(run.returncode == 0, run.stdout + run.stderr)
        return [(line.partition(" ")[2], True, 0.0, "") for line in run.stdout.splitlines() if line.startswith("ok ")]
