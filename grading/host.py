"""The host's part of a grade: the lab's checks under sanitizers, compiled from the submission and run in the sandbox."""

import os
import pathlib
import shutil
import tempfile

import admit
import build
import judge
from explain import no_failure
from guest.machine import Broken
from sandbox import Sandbox
from skeleton import Problem

FLAGS = ("-std=gnu11 -O1 -g -pthread -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all -DMM_CHECK=1 -Wall "
         "-Wno-unused").split()   # without -Werror: a warning costs no marks


def copy_tree(lab, top, to):
    """What the checks are made from, without what the student writes."""
    for pattern in (*lab.link, "mm/*.h", "mm/host/*.h", "labs/host/*", f"labs/{lab.folder.name}/*", "prebuilt/host/mm/*"):
        for path in pathlib.Path(top).glob(pattern):
            target = pathlib.Path(to, path.relative_to(top))
            if str(path.relative_to(top)) in lab.files:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)   # with its time: or all of the kernel would be compiled again


STATUS = {"ok": "passed", "hole": "to write"}


def entry(lab, top, step, result):
    """A check as grade's result has it."""
    status = STATUS.get(result["end"], "failed")
    check = {"name": result["check"], "where": "host", "step": step["id"], "status": status, "points": result["possible"],
             "score": result["points"], "invariant": result["rule"] or step["title"]}
    if status == "passed":
        return check
    said = "" if result["actual"] else result.get("said", "")[-2000:]
    why = f"the function of step {result['hole']} is yet to be written" if result["hole"] else ""
    check["failure"] = no_failure() | {"why": why, "expected": result["expected"], "actual": "" if why else result["actual"], "said": said,
                                       "calls": result["calls"][-7:], "map": result["map"], "scenario": f"labs/{lab.folder.name}/check.c"}
    if result.get("place"):
        check["failure"] |= {"place": list(result["place"]), "line": line_of(top, result["place"]), "also": result["also"]}
    return check


def line_of(top, place):
    try:
        return pathlib.Path(top, place[0]).read_text(encoding="utf-8", errors="replace").splitlines()[place[1] - 1].strip()[:120]
    except (OSError, IndexError):
        return ""


def not_judged(lab, checks, why, said):
    """All of them failed for the same reason, which has nothing to do with any of them."""
    return [{"name": name, "where": "host", "step": step["id"], "status": "failed", "points": points, "score": 0,
             "invariant": step["title"], "failure": no_failure() | {"why": why, "said": said}} for step, name, points in checks]


class Folders:
    """given: what the grader brings, which the sandbox only reads; made: what is compiled from the submission, read only when it runs; out:
    where it writes when it runs."""

    def __init__(self, top, trusted):
        self.top, self.directory = str(top), tempfile.TemporaryDirectory(prefix="quire-host-")
        self.given, self.made, self.out = (os.path.join(self.directory.name, name) for name in ("given", "made", "out"))
        os.chmod(self.directory.name, 0o755)
        for folder in (self.given, self.made, self.out):
            os.mkdir(folder)
        self.compiling = Sandbox([self.top, self.given], [self.made], trusted=trusted)
        self.running = Sandbox([self.top, self.made], [self.out], trusted=trusted)
        self.compiling.own(self.made)
        self.running.own(self.out)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.directory.cleanup()


def judge_on_host(lab, tree, cache, seed, trusted, secret=None):
    """The checks' entries, in the manifest's order. tree: a copy of the tree with the submission's files in it; secret: more checks, whose
    sources the sandbox does not see."""
    checks = lab.checks() + (secret.host_checks() if secret else [])
    with Folders(tree, trusted) as folders:   # where a submission fails as a whole, the reference must not, or we are to blame
        try:
            program = judge.build(lab, tree, "gcc", FLAGS, cache, folders.compiling.run, folders.made, folders.given,
                                  secret.sources() if secret else (), None if trusted else Door(lab, tree, cache, folders.compiling))
        except admit.NotAdmitted as error:
            return not_judged(lab, checks, f"it is not linked with the checks: {error}", "")
        except judge.DoesNotCompile as error:
            reference_compiles(lab, cache)
            return not_judged(lab, checks, "it does not compile for the host", str(error)[:4000])
        try:
            reports = judge.run_checks(program, tree, seed, [name for _, name, _ in checks], folders.running.run, folders.out)
            if any(report["actual"] == judge.ENDED for report in reports.values()):
                reference_runs(lab, cache, folders)
            results = judge.results_of(lab, tree, checks, reports)
        except Problem as problem:
            return not_judged(lab, checks, str(problem), "")
    return [entry(lab, tree, step, result) for (step, _, _), result in zip(checks, results)]


class Door:
    """Lets in what could be a part of the memory manager (admit.py), by its symbols and by what the preprocessor makes of its text."""

    def __init__(self, lab, tree, cache, box):
        self.lab, self.tree, self.cache, self.box = lab, tree, cache, box

    def __call__(self, own, others):
        reference = []
        judge.build(self.lab, build.TOP, "gcc", FLAGS, self.cache, admit=lambda theirs, _: reference.extend(theirs))
        admit.admit_objects(own, others, reference)
        for file in self.lab.files:
            done = self.box.run(["gcc", *FLAGS, "-E", "-P", file], cwd=self.tree, seconds=20)
            if done.stopped or done.returncode:
                raise admit.NotAdmitted(f"{file}: the preprocessor was stopped: {done.stopped or done.stderr}")
            admit.admit_text(file, done.stdout)


def reference_compiles(lab, cache):
    """Whoever says that a submission does not compile has to show that something does: a missing library is no student's mistake."""
    try:
        judge.build(lab, build.TOP, "gcc", FLAGS, cache)
    except judge.DoesNotCompile as error:
        raise Broken(f"the checks of lab {lab.number} do not compile with the reference either:\n{error}") from error


def reference_runs(lab, cache, folders):
    """The same for running them."""
    program = shutil.copy(judge.build(lab, build.TOP, "gcc", FLAGS, cache), folders.made)
    first = lab.checks()[0][1]
    report = judge.run_checks(program, folders.top, 1, [first], folders.running.run, folders.out)[first]
    if report["end"] != "ok":
        raise Broken(f"the checks of lab {lab.number} do not run with the reference either: {report['actual']}")
