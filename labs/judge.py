"""Builds and runs the checks of one lab in one tree; the answer is a list of results, one for each check of the manifest.

Objects are kept under the hash of all that went into them, so a check after an edit compiles one file, and many trees can share a cache.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shutil
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


def plainly(command, cwd, env=None, seconds=None):
    """Runs a command; a sandbox's run does the same for code of strangers (grading/sandbox.py)."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, errors="replace", env=dict(os.environ, **(env or {})),
                          timeout=seconds, check=False)
    done.stopped = ""
    return done


def run_compiler(run, command, top, output):
    """Into a file beside the output first: another process or thread may be building the same."""
    part = f"{output}.{os.getpid()}.{threading.get_ident()}"
    done = run([*command, "-o", part], cwd=top, seconds=60)
    if done.stopped or done.returncode:
        raise DoesNotCompile(f"the compiler was stopped: {done.stopped}\n{done.stderr}" if done.stopped else done.stderr)
    os.replace(part, output)


def build(lab, top, compiler, flags, cache, run=plainly, made=None, given=None, more=(), admit=None):
    """The path of the check program. `run` compiles what the student wrote and links it, into the folder `made` (else the cache, too), with
    copies of all else in the folder `given`. `more`: sources of further checks. `admit` is asked before linking: (the student's objects,
    all others)."""
    top, cache = pathlib.Path(top), pathlib.Path(cache).resolve()
    cache.mkdir(parents=True, exist_ok=True)
    made = pathlib.Path(made) if made else cache
    folder = f"labs/{lab.folder.name}"
    patterns = [*lab.link, f"{folder}/*.c"]
    sources = sorted({str(path.relative_to(top)) for pattern in patterns for path in top.glob(pattern)}) + [str(path) for path in more]
    headers = [path for pattern in ("mm/*.h", "mm/host/*.h", "labs/host/*.h", f"{folder}/*.h") for path in sorted(top.glob(pattern))]
    common = digest(compiler, *flags, *(path.read_bytes() for path in headers))
    missing, objects, students_own = [], [], []
    for source in sources:
        students = source in lab.files
        extra = ["-Wconversion"] if source.count("/") == 1 else []   # mm's own, as everywhere
        extra += ["-I."] if source.startswith("/") else []           # further checks stand elsewhere
        target = (made if students else cache) / f"{digest(common, source, (top / source).read_bytes())}.o"
        (students_own if students else objects).append(str(target))
        if not target.exists():
            command = [compiler, *flags, *extra, f"-fdebug-prefix-map={top.resolve()}=.", "-c", source]
            missing.append((run if students else plainly, command, top, str(target)))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(lambda job: run_compiler(*job), missing))
    objects += sorted(str(path.resolve()) for pattern in patterns for path in top.glob(f"prebuilt/host/{pattern}.o")
                      if str(path.relative_to(top / "prebuilt/host"))[:-2] not in sources)   # a student's own of an earlier lab
    if admit:
        admit(students_own, objects)
    program = made / f"check-{digest(*objects, *students_own)}"
    if given:
        objects = [shutil.copy(path, given) for path in objects]
    objects += students_own
    if not program.exists():
        run_compiler(run, [compiler, *flags, "-Wl,--wrap=page_alloc", *objects], top, str(program))
    return str(program)


OPTIONS = {"ASAN_OPTIONS": "detect_leaks=0:hard_rss_limit_mb=1024", "UBSAN_OPTIONS": "print_stacktrace=1"}
ENDED = "the checks' process ended"
RUN_SECONDS = 60   # all checks together; each has a limit of its own (labs/host/judge.c)


def reports_in(path):
    """{check: report}; the last one may be cut short."""
    found = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    report = json.loads(line)
                    found[report["check"]] = report
                except (ValueError, KeyError, TypeError):
                    continue
    return found


def run_checks(program, top, seed, names=(), run=plainly, folder=None):
    """What the program reports: {check: report}. Where it is stopped, the check that it was at is to blame, and the others go on."""
    with tempfile.TemporaryDirectory(prefix="quire-", dir=folder) as directory:
        os.chmod(directory, 0o777)   # a sandbox's user writes there
        out, found, left = os.path.join(directory, "out"), {}, list(names)
        while True:
            done = run([program, "--seed", str(seed), "--out", out, *left], cwd=top, env=OPTIONS, seconds=RUN_SECONDS)
            found |= {check: report for check, report in reports_in(out).items() if check not in found}
            left = [name for name in left if name not in found]
            if not done.stopped and done.returncode == 0:
                return found
            if not left:
                raise Problem(f"the checks could not be run (status {done.returncode}): {done.stopped} {done.stderr}")
            found[left[0]] = {"check": left[0], "end": "stuck", "rule": "", "expected": "", "actual": done.stopped or ENDED, "map": "",
                              "said": "", "calls": [], "seed": seed, "line": 0, "file": ""}
            left = left[1:]
            if not left:
                return found
            if os.path.exists(out):
                os.remove(out)


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
    """(file, line, function) where a student looks next, and names of more functions: from the trace; else the step's functions, the one
    that was called last before the others. Of two engines that both have a take, the step's file is the one that is meant."""
    for match in re.finditer(r"#\d+ 0x\S+ in (\w+) (\S+?):(\d+)", report.get("said", "")):
        for file in lab.files:
            if match.group(2).endswith(file):
                return (file, int(match.group(3)), match.group(1)), []
    last = re.match(r"(\w+)\(", report["calls"][-1]) if report["calls"] else None
    found, ranked = [], []
    for file in lab.files:
        text = (pathlib.Path(top) / file).read_text(encoding="utf-8", errors="replace")
        found += [(file, function) for function in tagged_functions(text)]
    files = {file for file, function in found if function.step == step["id"]} or set(lab.files)
    for file, function in found:
        called = last is not None and function.name == last.group(1) and file in files
        rank = (function.step == step["id"]) * 4 + called * 2 + (report["check"] in function.name)
        if rank > 1:
            ranked.append((-rank, len(ranked), (file, function.opens, function.name)))
    places = [place for _, _, place in sorted(ranked)]
    return (places[0], [name for _, _, name in places[1:4]]) if places else (None, [])


def judge(lab, top, compiler, flags, cache, seed=1, names=()):
    """[{step, check, points, possible, end, ...}] in the manifest's order, of these checks or all; raises DoesNotCompile."""
    checks = [(step, name, points) for step, name, points in lab.checks() if not names or name in names]
    program = build(lab, top, compiler, flags, cache)
    return results_of(lab, top, checks, run_checks(program, top, seed, [name for _, name, _ in checks]))


def results_of(lab, top, checks, reports):
    """Reports, with what the manifest and the student's source add; checks: (step, name, points)."""
    results = []
    for step, name, possible in checks:
        report = reports.get(name)
        if not report:
            raise Problem(f"labs/{lab.folder.name}/manifest.toml names a check that there is not: {name}")
        if report["end"] == "crashed" or "ERROR: AddressSanitizer" in report.get("said", "") and report["end"] == "ok":
            report["actual"] = report["actual"] or crash_in_words(report.get("said", ""))
        hole = re.search(r"Lab (\d+\.\d+) is yet", report["actual"])
        report.update(step=step["id"], possible=possible, points=possible if report["end"] == "ok" else 0,
                      hole=hole.group(1) if report["end"] == "hole" and hole else None)
        if report["end"] != "ok":
            report["place"], report["also"] = place_in_source(lab, top, report, step)
        results.append(report)
    return results
