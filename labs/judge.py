"""Builds and runs the checks of one lab in one tree; the answer is a list of results, one for each check of the manifest.

Objects are kept under the hash of all that went into them, so a check after an edit compiles one file, and many trees can share a cache.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import tempfile
import threading

from skeleton import Problem, tagged_functions


class DoesNotCompile(Exception):
    pass


def digest(*parts):
    total = hashlib.sha256()
    for part in parts:
        total.update(part if isinstance(part, bytes) else part.encode())
        total.update(b"\0")
    return total.hexdigest()[:24]


def run_compiler(command, top, output):
    """Into a file beside the output first: another process or thread may be building the same."""
    part = f"{output}.{os.getpid()}.{threading.get_ident()}"
    result = subprocess.run([*command, "-o", part], cwd=top, capture_output=True, text=True)
    if result.returncode:
        raise DoesNotCompile(result.stderr)
    os.replace(part, output)


def build(lab, top, compiler, flags, cache):
    """The path of the check program."""
    top, cache = pathlib.Path(top), pathlib.Path(cache).resolve()
    cache.mkdir(parents=True, exist_ok=True)
    folder = f"labs/{lab.folder.name}"
    patterns = [*lab.link, f"{folder}/*.c"]
    sources = sorted({str(path.relative_to(top)) for pattern in patterns for path in top.glob(pattern)})
    headers = [path for pattern in ("mm/*.h", "mm/host/*.h", "labs/host/*.h", f"{folder}/*.h") for path in sorted(top.glob(pattern))]
    common = digest(compiler, *flags, *(path.read_bytes() for path in headers))
    missing, objects = [], []
    for source in sources:
        extra = ["-Wconversion"] if source.count("/") == 1 else []   # mm's own, as everywhere
        made = cache / f"{digest(common, source, (top / source).read_bytes())}.o"
        objects.append(str(made))
        if not made.exists():
            missing.append(([compiler, *flags, *extra, f"-fdebug-prefix-map={top.resolve()}=.", "-c", source], top, str(made)))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(lambda job: run_compiler(*job), missing))
    objects += sorted(str(path.resolve()) for pattern in patterns for path in top.glob(f"prebuilt/host/{pattern}.o"))
    program = cache / f"check-{digest(*objects)}"
    if not program.exists():
        run_compiler([compiler, *flags, "-Wl,--wrap=page_alloc", *objects], top, str(program))
    return str(program)


def run(program, top, seed, names=()):
    """What the program reports: {check: report}."""
    environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=0", UBSAN_OPTIONS="print_stacktrace=1")
    with tempfile.TemporaryDirectory(prefix="quire-") as directory:
        out = os.path.join(directory, "out")
        result = subprocess.run([program, "--seed", str(seed), "--out", out, *names], cwd=top, env=environment, capture_output=True,
                                text=True, errors="replace")
        if result.returncode:
            raise Problem(f"the checks could not be run (status {result.returncode}): {result.stderr}")
        with open(out, encoding="ascii") as file:
            return {report["check"]: report for report in map(json.loads, file)}


# --- what a report says about the student's source --------------------------------------------------------------------------------

MEMORY_ERRORS = {
    "heap-buffer-overflow": "memory beyond what the zone has was touched: a record or a list that does not exist",
    "heap-use-after-free": "memory that was given back was touched",
    "stack-buffer-overflow": "an array on the stack was left",
    "global-buffer-overflow": "an array was left",
    "stack-overflow": "calls nested without end",
    "SEGV": "an address was used where there is no memory",
    "FPE": "a division by zero",
}


def crash_in_words(said):
    match = re.search(r"runtime error: (.*)", said)
    if match:
        return "undefined in C: " + match.group(1)
    match = re.search(r"ERROR: AddressSanitizer: (\S+)", said)
    if match:
        return MEMORY_ERRORS.get(match.group(1).rstrip(":"), match.group(1))
    return "the check ended without a word"


def place_in_source(lab, top, report, step):
    """(file, line, function) where a student looks next: from the trace, or the function that was called last."""
    for match in re.finditer(r"#\d+ 0x\S+ in (\w+) (\S+?):(\d+)", report.get("said", "")):
        for file in lab.files:
            if match.group(2).endswith(file):
                return file, int(match.group(3)), match.group(1)
    last = re.match(r"(\w+)\(", report["calls"][-1]) if report["calls"] else None
    functions = []
    for file in lab.files:
        text = (pathlib.Path(top) / file).read_text(encoding="utf-8", errors="replace")
        for function in tagged_functions(text):
            rank = (last is not None and function.name == last.group(1)) * 2 + (function.step == step["id"])
            functions.append((-rank, len(functions), file, function.opens, function.name))
    if not functions or min(functions)[0] == 0:
        return None
    return min(functions)[2:]


def judge(lab, top, compiler, flags, cache, seed=1, names=()):
    """[{step, check, points, possible, end, ...}] in the manifest's order, of these checks or all; raises DoesNotCompile."""
    reports = run(build(lab, top, compiler, flags, cache), top, seed, names)
    results = []
    for step, name, possible in lab.checks():
        if names and name not in names:
            continue
        report = reports.get(name)
        if not report:
            raise Problem(f"labs/{lab.folder.name}/manifest.toml names a check that there is not: {name}")
        if report["end"] == "crashed" or "ERROR: AddressSanitizer" in report.get("said", "") and report["end"] == "ok":
            report["actual"] = report["actual"] or crash_in_words(report.get("said", ""))
        hole = re.search(r"Lab (\d+\.\d+) is yet", report["actual"])
        report.update(step=step["id"], possible=possible, points=possible if report["end"] == "ok" else 0,
                      hole=hole.group(1) if report["end"] == "hole" and hole else None)
        if report["end"] != "ok":
            report["place"] = place_in_source(lab, top, report, step)
        results.append(report)
    return results
