"""The build itself, lint, and the host tests of mm under both compilers."""

import os
import re
import shlex
import subprocess
import time

from suite import TOP, Failure, expect_that, make, patience, test


@test(weight=1000)
def kernel_and_image():
    make("all")
    for name in ("build/kernel/quire.elf", "build/fs.img"):
        expect_that(os.path.exists(os.path.join(TOP, name)), f"make does not build {name}")


@test(weight=100)
def lint():
    result = subprocess.run(["make", "-s", "lint"], cwd=TOP, capture_output=True, text=True)
    expect_that(result.returncode == 0, result.stdout + result.stderr)


@test(weight=1)
def doctor():
    result = subprocess.run(["make", "-s", "doctor"], cwd=TOP, capture_output=True, text=True)
    expect_that(result.returncode == 0, result.stdout + result.stderr)


@test(weight=1)
def doctor_refuses_an_old_qemu():
    """A QEMU that says it is too old is named with its version and the one that is needed, and is not run."""
    with_old = dict(os.environ, QEMU=os.path.join(TOP, "tests/old-qemu"))
    result = subprocess.run(["sh", "tools/doctor"], cwd=TOP, capture_output=True, text=True, env=with_old)
    expect_that(result.returncode == 1 and re.search(r"MISSING .*4\.2\.1.*7\.0", result.stdout), result.stdout)
    for manager in ("apt-get install", "brew install", "dnf install", "pacman -S"):
        expect_that(manager in result.stdout, f"no command with {manager}:\n{result.stdout}")


@test(weight=1)
def container_has_what_the_tests_need():
    """Each package that tools/doctor asks for is in .devcontainer/Dockerfile; QEMU's has other names in other releases."""
    if not os.path.exists(os.path.join(TOP, ".devcontainer")):   # a student's tree
        return
    with open(os.path.join(TOP, ".devcontainer/Dockerfile"), encoding="utf-8") as file:
        has = file.read().split()
    with open(os.path.join(TOP, "tools/doctor"), encoding="utf-8") as file:
        tools = re.search(r"test \| all\) echo (.*) ;;", file.read()).group(1).split()
    packages = subprocess.run(["sh", "tools/doctor", "--packages", "apt", *tools], cwd=TOP, capture_output=True, text=True).stdout.split()
    missing = [name for name in packages if name not in has and not name.startswith("qemu-system-")]
    expect_that(packages and not missing, f"not in the container: {missing}")


@test(weight=1)
def print_qemu():
    """One line, ready for a shell, with the knobs in it, whatever they hold."""
    append = """quiet init=/it's "odd" $HOME"""
    line = make("print-qemu", "SMP=3", "MEM=96M", f"APPEND={append}", "QEMU_EXTRA=-d 'int,guest_errors' -seed 1")
    expect_that(line.count("\n") == 1, f"more than one line:\n{line}")
    words = shlex.split(line)
    for option, value in (("-smp", "3"), ("-m", "96M"), ("-append", append), ("-d", "int,guest_errors"), ("-seed", "1"),
                          ("-machine", "virt"), ("-bios", "default")):
        expect_that(value in [words[i + 1] for i, word in enumerate(words) if word == option], f"no {option} {value} in: {line}")
    by_shell = subprocess.run(["sh", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True).stdout
    expect_that(by_shell.splitlines() == words, f"a shell reads it differently: {by_shell}")


def without_randomness():
    """What to put before a program that ThreadSanitizer is in: where addresses are more random than it knows, it does not start."""
    fixed = ["setarch", "-R"]
    try:
        return fixed if subprocess.run([*fixed, "true"], capture_output=True).returncode == 0 else []
    except FileNotFoundError:
        return []


@test(weight=300, cases=["gcc", "clang", "tsan"])
def host_tests(kind):
    """Reports each test of the binary as one of ours. Under ThreadSanitizer, those that have threads."""
    program = f"build/host/mm-tests-{kind}"
    make(program)
    command = [*without_randomness(), program, "threads"] if kind == "tsan" else [program]
    results, start = [], time.monotonic()
    process = subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    detail = []
    for line in process.stdout:
        match = re.match(r"(ok|not ok) ([^\s:]+)(.*)", line)
        if match:
            results.append((match.group(2), match.group(1) == "ok", time.monotonic() - start, match.group(3) + "\n" + "".join(detail)))
            start, detail = time.monotonic(), []
        else:
            detail.append(line)
    status = process.wait(timeout=patience(60))
    expect_that(results, f"{program} ran no test: {''.join(detail)}")
    if status and all(ok for _, ok, _, _ in results):
        raise Failure(f"{program} ends with status {status}:\n{''.join(detail)}")
    return results


@test(weight=60)
def fuzzers_run_a_little():
    """Each libFuzzer target builds and finds nothing within a few thousand inputs; make fuzz runs them for longer."""
    result = subprocess.run(["make", "-s", "fuzz", "FUZZ_SECONDS=5"], cwd=TOP, capture_output=True, text=True)
    expect_that(result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:])
