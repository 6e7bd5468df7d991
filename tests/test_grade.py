"""grading/grade: what is taken from a submission, what comes out in which form, and what no submission can do."""

import contextlib
import io
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile

from suite import TOP, Failure, expect_that, make, patience, test

sys.path[:0] = [os.path.join(TOP, name) for name in ("grading", "grading/hostile", "labs")]

import build  # noqa: E402
import host  # noqa: E402
import sandbox  # noqa: E402
import skeleton  # noqa: E402
import submission  # noqa: E402
import submissions  # noqa: E402

LAB = "03"
FILE = "mm/page_buddy.c"
ANSWER = pathlib.Path(TOP, FILE).read_bytes()


@contextlib.contextmanager
def folder():
    """One that the sandbox's user can look into."""
    with tempfile.TemporaryDirectory(prefix="quire-") as path:
        os.chmod(path, 0o755)
        yield path


def write(path, data):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return str(path)


def grade(*arguments, environment=None, status=0):
    """What grade printed; its exit status must be as told."""
    make("kernel", "JUDGE=1")
    done = subprocess.run([os.path.join(TOP, "grading/grade"), *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=patience(300), check=False, env=environment)
    expect_that(done.returncode == status, f"grade ends with status {done.returncode}:\n{done.stdout}{done.stderr}")
    expect_that("Traceback" not in done.stderr, done.stderr)
    return done.stdout + done.stderr


def graded(path, *arguments):
    """result.json of a submission, and the folder where it was written."""
    with folder() as out:
        said = grade(path, "--lab", LAB, "--out", out, *arguments)
        result = json.loads(pathlib.Path(out, "result.json").read_text(encoding="utf-8"))
        files = {name: pathlib.Path(out, name).read_text(encoding="utf-8") for name in os.listdir(out)}
    expect_that(result["score"] == sum(check["score"] for check in result["checks"]), "the score is not the sum of the checks")
    return result, files, said


def status_of(result):
    return {check["name"]: check["status"] for check in result["checks"]}


# --- a grade

@test(weight=15)
def right_answer_in_every_format():
    with folder() as at:
        archive = os.path.join(at, "ada.tar.gz")
        with tarfile.open(archive, "w:gz") as tar:
            for name, data in (("ada/" + FILE, ANSWER), ("ada/Makefile", b"all:\n\ttouch /tmp/owned\n")):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        result, files, said = graded(archive, "--format", "gradescope", "--format", "junit")
        expect_that((result["score"], result["points"]) == (100, 100), said)
        expect_that(set(files) == {"result.json", "report.html", "gradescope.json", "junit.xml"}, str(set(files)))
        expect_that(list(result["files"]) == [FILE], f"taken: {result['files']}")
        check_exports(at, files)
        expect_that("Everything passed" in files["report.html"] and "http" not in files["report.html"], files["report.html"])


def check_exports(at, files):
    """Against the formats' schemas."""
    import jsonschema
    schema = json.loads(pathlib.Path(TOP, "tests/schemas/gradescope.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(files["gradescope.json"]), schema)
    path = write(os.path.join(at, "junit.xml"), files["junit.xml"])
    command = ["xmllint", "--noout", "--schema", os.path.join(TOP, "tests/schemas/junit.xsd"), path]
    done = subprocess.run(command, capture_output=True, text=True)
    expect_that(done.returncode == 0, done.stderr)


@test(weight=15)
def wrong_answer_is_explained():
    """A fault, control characters in its name, and every form that tells of it."""
    patch = os.path.join(TOP, "grading/faulty/03/guest-wrong-buddy.patch")
    with folder() as at:
        write(os.path.join(at, FILE), ANSWER)
        subprocess.run(["patch", "-s", "-p1", "-d", at, "-i", patch], check=True)
        result, files, said = graded(at, "--format", "gradescope", "--format", "junit")
        states = status_of(result)
        expect_that(states["cut"] == "passed" and states["halves"] == "failed" and states["coalesce"] == "failed", str(states))
        expect_that("First failure: 3.3 halves" in said and "expected" in said and "look at   mm/page_buddy.c:" in said, said)
        check_exports(at, files)
        page = files["report.html"]
        expect_that(page.index("The first failure") < page.index("All checks") and "A vague hint" in page, "no page for a student")
        for check in result["checks"]:
            if check["status"] != "passed":
                expect_that(check["failure"]["why"] or check["failure"]["actual"], f"{check['name']} is lost without a word")


@test(weight=10)
def skeleton_gets_its_floor():
    lab = skeleton.find_lab(TOP, LAB)
    with folder() as at:
        write(os.path.join(at, FILE), skeleton.with_holes(ANSWER.decode(), lab))
        result, _, said = graded(at)
        expect_that(result["score"] == lab.floor, said)
        expect_that("Next: 3.1 cut" in said, said)


@test(weight=10)
def what_does_not_compile_is_graded():
    with folder() as at:
        write(os.path.join(at, FILE), b"#include <stdio.h>\nint main(void) { return wibble }\n")
        result, _, said = graded(at)
        expect_that(result["score"] == 0 and "does not compile" in said and "wibble" in said, said)


@test(weight=15)
def hidden_checks_and_seeds():
    """Hidden checks count, are not shown before the marks are published, and change the seed of each submission."""
    with folder() as at, folder() as secret:
        write(os.path.join(at, FILE), ANSWER)
        write(os.path.join(secret, "late.c"), '#include "labs/host/frames.h"\n\nCHECK(late)\n{\n\tjudge_rule("Something hidden.");\n'
              "\tframes_start(&page_buddy, 0, 8);\n\tframes_add(0, 8);\n\tREQUIRE(frames_take(3) == 0, 0, \"Something hidden.\", \"0\", "
              '"else");\n}\n')
        write(os.path.join(secret, "hidden.toml"), 'seed = "xyzzy"\n[checks]\nlate = 5\n[scenarios]\n"pages.holes buddy" = 7\n')
        with_secret, files, said = graded(at, "--hidden", secret, "--format", "gradescope")
        expect_that((with_secret["score"], with_secret["points"]) == (112, 112), said)
        told = [test for test in json.loads(files["gradescope.json"])["tests"] if "late" in test["name"] or "hidden" in test["name"]]
        expect_that(len(told) == 2 and all(test["visibility"] == "after_published" for test in told), str(told))
        expect_that("xyzzy" not in "".join(files.values()), "the secret is in what is written")
        write(os.path.join(at, FILE), ANSWER + b"\n")
        other, _, _ = graded(at, "--hidden", secret)
        expect_that(other["seed"] != with_secret["seed"], "two submissions have the same seed")
        write(os.path.join(secret, "hidden.toml"), "[check]\nlate = 5\n")
        expect_that("hidden.toml" in grade(at, "--lab", LAB, "--out", at, "--hidden", secret, status=2), "a wrong hidden.toml is taken")


@test()
def only_the_submission_is_compiled():
    """Copies keep their times: a build of all of the kernel that is stopped halfway left half an object, and the grader was to blame."""
    make("kernel", "JUDGE=1")
    with build.Tree() as tree:
        tree.copy()
        host.copy_tree(skeleton.find_lab(TOP, LAB), TOP, tree.top)
        tree.put(FILE, ANSWER)
        told = subprocess.run([*build.COMMAND, "-n"], cwd=tree.top, capture_output=True, text=True, check=True, env=build.environment())
    compiled = re.findall(r"-c -o \S+ (?:\S+/)?(\w+/\w+\.c)$", told.stdout, re.M)
    expect_that(compiled == [FILE], f"compiled: {compiled}")


# --- submissions that attack (grading/hostile/submissions.py)

WHOLE = os.environ.get("QUIRE_GRADERS") == "whole"
SHORT = ("exits-early", "own-system-call", "raw-string", "own-fail", "copies-the-kernel", "includes-zero", "hangs", "wild-pointer")


@test(weight=12, cases=[name for name in submissions.ATTACKS if WHOLE or name in SHORT])
def attack_on_the_grader_gains_nothing(name):
    """Not a point, no trace on the machine, and an explanation that says what it was."""
    what, _, _, word = submissions.ATTACKS[name]
    skeleton_text = skeleton.with_holes(ANSWER.decode(), skeleton.find_lab(TOP, LAB))
    with folder() as at:
        write(os.path.join(at, FILE), submissions.make(name, skeleton_text))
        result, files, said = graded(at)
        expect_that(result["score"] == 0, f"{name} ({what}) gains {result['score']} points:\n{said}")
        told = json.dumps([check["failure"] for check in result["checks"] if check["where"] == "host"])
        expect_that(word in told, f"{name} ({what}) is not told as {word!r}:\n{said}")
        expect_that("root:" not in "".join(files.values()), f"{name}: a file of this machine is in what is written")


@test(weight=12)
def other_files_of_a_submission_are_ignored():
    """A right answer with a Makefile, a linker script, checks, headers and hooks beside it is a right answer, and nothing of them runs."""
    with folder() as at:
        write(os.path.join(at, FILE), ANSWER)
        touched = os.path.join(at, "touched")
        for name, text in (("Makefile", f"$(shell touch {touched})\nall:\n"), ("lab.mk", f"$(shell touch {touched})\n"),
                           ("kernel/boot/kernel.ld", "nonsense"), ("labs/03-buddy/manifest.toml", "floor = 100"),
                           ("labs/03-buddy/check.c", "int main(void) { return 0; }"), ("mm/page.h", "#error mine"),
                           ("mm/page.c", "#error mine"), ("grading/grade", f"#!/bin/sh\ntouch {touched}\n"), (".gdbinit", "shell false"),
                           ("-rf", ""), ("mm/page_buddy.c.patch", "")):
            write(os.path.join(at, name), text)
        result, _, said = graded(at)
        expect_that(result["score"] == 100 and list(result["files"]) == [FILE], said)
        expect_that(not os.path.exists(touched), "something of the submission was run")


@test(weight=25, cases=["none", "same"])
def lazy_allocator_gets_almost_nothing(kind):
    """One that refuses everything, and one that always gives the same block."""
    body = {"none": "\t(void)zone;\n\t(void)order;\n\treturn FRAME_NONE;", "same": "\t(void)order;\n\treturn zone->first;"}[kind]
    lines = ANSWER.decode().splitlines()
    take = next(f for f in skeleton.tagged_functions(ANSWER.decode()) if f.name == "take")
    lines[take.opens + 1:take.closes] = [body]
    with folder() as at:
        write(os.path.join(at, FILE), "\n".join(lines) + "\n")
        result, _, said = graded(at)
        earned = {check["name"] for check in result["checks"] if check["score"]}
        # What is right without take keeps its points: how memory is cut into blocks, and their count.
        expect_that(earned <= {"cut", "holes", "report", "edges", "start", "range", "aligned"}, f"{earned}\n{said}")
        expect_that(result["score"] <= 16, said)


# --- the grader's own failures

@test(weight=2)
def wrong_calls_are_refused():
    with folder() as at, folder() as out:
        write(os.path.join(at, FILE), ANSWER)
        for arguments, complaint in (((at, "--lab", "99"), "there is no lab 99"), (("/nowhere", "--lab", LAB), "no such file"),
                                     ((at, "--lab", LAB, "--revision", "v1"), "no commit v1"),
                                     ((at, "--lab", LAB, "--harts", "99"), "1 to 8"),
                                     ((at, "--lab", LAB, "--hidden", at), "hidden.toml")):
            said = grade(*arguments, "--out", out, status=2)
            expect_that(complaint in said, f"{arguments}: {said}")
            expect_that(not os.path.exists(os.path.join(out, "result.json")), "a result without a grade")


@test(weight=2)
def without_bubblewrap_nothing_runs():
    """It says so, and does not judge outside a sandbox unless it is told to trust."""
    with folder() as at, folder() as tools, folder() as out:
        write(os.path.join(at, FILE), ANSWER)
        for name in ("python3", "env", "sh"):
            os.symlink(os.path.realpath(sys.executable if name == "python3" else shutil.which(name)), os.path.join(tools, name))
        said = grade(at, "--lab", LAB, "--out", out, environment={"PATH": tools}, status=2)
        expect_that("bubblewrap" in said and "apt-get install bubblewrap" in said, said)
        expect_that(not os.path.exists(os.path.join(out, "result.json")), "a result without a sandbox")


# --- what is taken

def taken(path, files=(FILE,), **options):
    return submission.take(str(path), list(files), **options)[0]


def refused(path, complaint, files=(FILE,), **options):
    try:
        got = taken(path, files, **options)
    except submission.Refused as error:
        expect_that(complaint in str(error), f"{path}: {error}")
    else:
        raise Failure(f"{path} is not refused ({complaint}): {list(got)}")


def tar(path, *members, mode="w:gz"):
    """members: (name, data or TarInfo's type and linkname)."""
    with tarfile.open(path, mode) as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            if isinstance(data, tuple):
                member.type, member.linkname = data
                archive.addfile(member)
            else:
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return path


@test(weight=2)
def files_are_found_where_people_put_them():
    with folder() as at:
        for place in (FILE, "./" + FILE, "ada/" + FILE, "page_buddy.c", "./page_buddy.c"):
            for mode in ("w:gz", "w:bz2", "w:xz", "w"):
                path = tar(os.path.join(at, "x.tar"), ("other", b"x"), (place, ANSWER), mode=mode)
                expect_that(taken(path) == {FILE: ANSWER}, f"{place} in a tar ({mode})")
            with zipfile.ZipFile(os.path.join(at, "x.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("README", "x")
                archive.writestr(place, ANSWER)
            expect_that(taken(os.path.join(at, "x.zip")) == {FILE: ANSWER}, f"{place} in a zip")
        path = tar(os.path.join(at, "x.tar"), ("page_buddy.c", b"flat"), (FILE, ANSWER))
        expect_that(taken(path) == {FILE: ANSWER}, "the full name counts more than the last")
        write(os.path.join(at, "tree", FILE), ANSWER)
        expect_that(taken(os.path.join(at, "tree")) == {FILE: ANSWER}, "a folder")
        expect_that(taken(os.path.join(at, "tree"), (FILE, "mm/page.c")) == {FILE: ANSWER}, "a folder without one of the files")
        write(os.path.join(at, "flat/page_buddy.c"), ANSWER)
        expect_that(taken(os.path.join(at, "flat")) == {FILE: ANSWER}, "a flat folder")


@test(weight=3)
def hostile_archives_are_refused():
    with folder() as at:
        x = os.path.join(at, "x.tar")
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            refused(tar(x, (FILE, (kind, "/etc/passwd"))), "no plain file")
        for name in ("/" + FILE, "../" + FILE, "a/../../" + FILE, "/abs/../" + FILE):
            try:
                expect_that(not taken(tar(x, (name, ANSWER))), name)
            except submission.Refused as error:
                expect_that("leads out" in str(error), str(error))
        refused(tar(x, ("a/" + FILE, ANSWER), ("b/" + FILE, ANSWER)), "twice")
        refused(tar(x, (FILE, b"x" * (submission.MOST_BYTES + 1))), "larger than")
        refused(tar(x, (FILE, b"\0" * 100)), "no text")
        refused(tar(x, ("bomb", bytes(submission.MOST_UNPACKED + (1 << 20))), (FILE, ANSWER)), "unpacks to more")
        refused(tar(x, *((f"n{i}", b"") for i in range(submission.MOST_MEMBERS + 2))), "members")
        write(x, pathlib.Path(tar(x, (FILE, ANSWER))).read_bytes()[:300])
        refused(x, "cannot be read")
        refused(write(x, b"this is no archive"), "cannot be read")
        refused(write(x, b""), "cannot be read")
        z = os.path.join(at, "x.zip")
        with zipfile.ZipFile(z, "w") as archive:
            link = zipfile.ZipInfo(FILE)
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, "/etc/passwd")
        refused(z, "no plain file")
        with zipfile.ZipFile(z, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(FILE, bytes(200 << 20))
        refused(z, "larger than")


@test(weight=4)
def names_that_are_no_text_do_not_stop_the_grader():
    """A name is bytes, in a tar and of the tar itself; what is said of it is text again."""
    with folder() as at:
        for name in ("mm/page_buddy.c\udcff", "gr\udcfc\udcdfe/" + FILE):
            path = tar(os.path.join(at, "x\udce4.tar"), (name, (tarfile.SYMTYPE, "/etc/passwd")), ("b\udce4", b"x"))
            result, _, said = graded(path, "--format", "gradescope", "--format", "junit")
            expect_that(result["score"] == 0 and "page_buddy.c" in said, said)


@test(weight=2)
def links_in_folders_are_refused():
    with folder() as at, folder() as elsewhere:
        write(os.path.join(elsewhere, FILE), b"secret")
        os.makedirs(os.path.join(at, "one/mm"))
        os.symlink(os.path.join(elsewhere, FILE), os.path.join(at, "one", FILE))
        refused(os.path.join(at, "one"), "no plain file")
        os.makedirs(os.path.join(at, "two"))
        os.symlink(os.path.join(elsewhere, "mm"), os.path.join(at, "two/mm"))
        refused(os.path.join(at, "two"), "links")
        os.makedirs(os.path.join(at, "three/mm"))
        os.mkfifo(os.path.join(at, "three", FILE))
        refused(os.path.join(at, "three"), "no plain file")


def git(at, *arguments, date="2026-01-01T12:00:00Z"):
    environment = dict(os.environ, GIT_COMMITTER_DATE=date, GIT_AUTHOR_DATE=date, GIT_CONFIG_GLOBAL="/dev/null", HOME=at)
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    subprocess.run(["git", "-C", at, *who, *arguments], check=True, capture_output=True, env=environment)


@test(weight=4)
def repositories_are_read_at_a_revision_or_before_a_deadline():
    with folder() as at:
        git(at, "init", "-q", "-b", "main")
        for day, text in ((1, b"first\n"), (2, b"second\n"), (3, b"third\n")):
            write(os.path.join(at, FILE), text)
            git(at, "add", ".")
            git(at, "commit", "-q", "-m", str(day), date=f"2026-01-0{day}T12:00:00Z")
            git(at, "tag", f"v{day}")
        write(os.path.join(at, FILE), b"not committed\n")
        expect_that(taken(at, revision="v1") == {FILE: b"first\n"}, "at a tag")
        expect_that(taken(at, before="2026-01-03T00:00:00Z") == {FILE: b"second\n"}, "before a deadline")
        expect_that(taken(at, revision="HEAD", before="2026-01-09T00:00:00Z") == {FILE: b"third\n"}, "the last before")
        for revision in ("--help", "v9", "v1:" + FILE):
            try:
                taken(at, revision=revision)
            except submission.Unusable:
                continue
            raise Failure(f"{revision} is taken for a revision")
        os.remove(os.path.join(at, FILE))   # a link as a file, and configuration that would run commands
        os.symlink("/etc/passwd", os.path.join(at, FILE))
        git(at, "add", ".")
        git(at, "commit", "-q", "-m", "link")
        refused(at, "no plain file", revision="HEAD")
        git(at, "rm", "-q", FILE)
        git(at, "init", "-q", os.path.join(at, "inner"))   # a file's folder that is another repository
        write(os.path.join(at, "inner/page_buddy.c"), b"inner\n")
        git(os.path.join(at, "inner"), "add", ".")
        git(os.path.join(at, "inner"), "commit", "-q", "-m", "inner")
        os.rename(os.path.join(at, "inner"), os.path.join(at, "mm"))
        git(at, "add", "mm")
        git(at, "commit", "-q", "-m", "submodule")
        expect_that(not taken(at, revision="HEAD"), "a file out of a submodule")
        touched = os.path.join(at, "touched")
        for name in ("core.fsmonitor", "core.pager", "core.sshCommand", "diff.external", "filter.x.smudge", "alias.cat-file"):
            git(at, "config", name, f"touch {touched}")
        write(os.path.join(at, ".gitattributes"), "* filter=x\n")
        expect_that(taken(at, revision="v3") == {FILE: b"third\n"} and not os.path.exists(touched), "the repository's commands were run")


# --- the sandbox

def processes_with(word):
    """Those with a word in their command line."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):   # it has just ended
            if word in path.read_text(encoding="utf-8", errors="replace").split("\0"):
                found.append(path.parent.name)
    return found


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + patience(seconds)
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def is_running(*command):
    """The command itself, and not bubblewrap on its way to it, which has yet to ask to die with its parent."""
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[:-1] == [word.encode() for word in command]:
                return True
        except OSError:
            pass
    return False


@test(weight=2, cases=["sandboxed", "trusted"])
def a_command_ends_with_its_grader(how):
    """Also when that is killed, and has no time to clean up."""
    mark = f"98764.{os.getpid()}{how == 'trusted':d}"
    script = f"import sandbox; sandbox.Sandbox(trusted={how == 'trusted'}).run(['sleep', '{mark}'])"
    grader = subprocess.Popen([sys.executable, "-c", script], cwd=os.path.join(TOP, "grading"))
    try:
        expect_that(wait_until(lambda: is_running("sleep", mark)), "the command does not start")
    finally:
        grader.kill()
        grader.wait()
    expect_that(wait_until(lambda: not processes_with(mark)), "the command goes on without its grader")


@test(weight=6)
def sandbox_holds():
    """Nothing of ours is seen, nothing of it stays, and each limit ends it."""
    with folder() as at:
        box = sandbox.Sandbox(writable=[at], memory=256 << 20, file_bytes=16 << 20)
        box.own(at)
        box.check()
        seen = box.run(["sh", "-c", "ls / /root /home /work; cat /etc/passwd; id -u; touch /usr/x /dev/shm/x; echo $HOME"])
        expect_that("root:" not in seen.stdout and "/tmp\n" in seen.stdout, seen.stdout)
        expect_that(seen.stderr.count("Read-only") == 2, seen.stderr)
        expect_that("\n0\n" not in seen.stdout, "it runs as root")
        for command, word in (("yes", "printed"), ("sleep 1000", "within"), ("while :; do (sleep 100 &) ; done", "processes"),
                              (f"while :; do n=$((n+1)); head -c 1000000 /dev/zero > {at}/$n; done", "files"),
                              ("exec python3 -c 'x = [bytearray(1 << 20) for _ in range(9999)]'", "memory")):
            begin = time.monotonic()
            done = box.run(["sh", "-c", command], seconds=3 if word == "within" else 60)
            # A refused fork ends the shell before anybody counts: that is an end, too.
            ended = word in done.stopped or (word == "processes" and done.returncode)
            expect_that(ended, f"{command}: {done.stopped!r} {done.stderr[:200]}")
            expect_that(time.monotonic() - begin < patience(60), f"{command} was not stopped")
        mark = f"98765.{os.getpid()}"
        box.run(["sh", "-c", f"setsid sleep {mark} & (sleep {mark} &) ; exit 0"])
        expect_that(not processes_with(mark), "processes outlived their sandbox")
        net = box.run(["python3", "-c", "import socket; socket.create_connection(('127.0.0.1', 9), 2)"])
        expect_that(net.returncode != 0, "there is a network")
