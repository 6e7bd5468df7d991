"""The file system on the host, under sanitizers: every crash of a recorded run, full and failing disks, damaged images."""

import os
import subprocess
import tempfile

from suite import TOP, expect_that, make, test

WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes"]


@test(weight=60)
def crashes_limits_and_damage():
    make("build/host/mkfs")
    folders = ["tests/host_fs", "kernel/fs"]
    sources = [os.path.join(folder, name) for folder in folders for name in sorted(os.listdir(os.path.join(TOP, folder))) if name.endswith(".c")]
    with tempfile.TemporaryDirectory(prefix="quire-") as directory:
        program = os.path.join(directory, "host_fs")
        build = subprocess.run(["gcc", "-std=gnu11", "-O1", "-g", *WARNINGS, "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined",
                                "-Itests/host_fs/fake", "-Itests/host_fs", "-I.", *sources, "-o", program, "-lpthread"],
                               cwd=TOP, capture_output=True, text=True)
        expect_that(build.returncode == 0, build.stderr)
        run = subprocess.run([program, "build/host/mkfs", "1"], cwd=TOP, capture_output=True, text=True)
        expect_that(run.returncode == 0, run.stdout + run.stderr)
        return [(line.partition(" ")[2], True, 0.0, "") for line in run.stdout.splitlines() if line.startswith("ok ")]
