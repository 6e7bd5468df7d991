"""Runs what strangers wrote: in bubblewrap, without network, with limits on time, memory, processes, files and output.

    box = Sandbox(readable=[tree], writable=[work])
    done = box.run(["gcc", …], cwd=tree, seconds=60)     # like subprocess.run; done.stopped says which limit ended it

The command sees the system's programs, the folders that it was given, a small /tmp of its own, and nothing else: no home, no network,
no process outside. When the grader is root the command is not: it gets a user that owns nothing. Limits that the kernel does not
enforce for a whole group of processes (memory, processes, output, time) are watched from outside; what they stop is gone with all of
its children, however far they had gone astray, because their process namespace goes away.

Without bubblewrap there is no sandbox: Missing is raised, and who trusts the code (a student their own) may say trusted=True.
"""

import ctypes
import os
import resource
import select
import shutil
import signal
import subprocess
import time

MIB = 1 << 20
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives", "/etc/ld.so.cache")
NOBODY = 61184        # the first of a range that no system gives out (systemd's DynamicUser); one for each grader at work
LOOK_SECONDS = 0.02
LIBC = ctypes.CDLL(None)
SET_PDEATHSIG = 1     # prctl's, <linux/prctl.h>


class Missing(Exception):
    """There is no working bubblewrap here."""


class Done:
    """What subprocess.run answers, and `stopped`: "", or the limit that ended it."""

    def __init__(self, returncode, stdout, stderr, stopped):
        self.returncode, self.stdout, self.stderr, self.stopped = returncode, stdout, stderr, stopped


def load():
    """How much longer things take than on an idle machine."""
    try:
        return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    except OSError:
        return 1.0


def end_with_parent():
    """Before exec, without bubblewrap: a grader that is killed leaves no QEMU that runs for ever. Elsewhere than on Linux it does."""
    if hasattr(LIBC, "prctl"):
        LIBC.prctl(SET_PDEATHSIG, signal.SIGKILL)


def descendants(pid):
    """All processes below one, itself first."""
    children = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue   # it has just ended
        children.setdefault(parent, []).append(int(name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def resident(pids):
    """Bytes of memory that processes hold; shared ones are counted once for each."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm", encoding="ascii") as file:
                total += int(file.read().split()[1]) * resource.getpagesize()
        except (OSError, IndexError):
            pass
    return total


def written(folders):
    """Bytes in the files of folders."""
    total = 0
    for folder in folders:
        for path, _, files in os.walk(folder):
            for name in files:
                try:
                    total += os.lstat(os.path.join(path, name)).st_blocks * 512
                except OSError:
                    pass
    return total


class Sandbox:
    """readable, writable: folders that the command sees under their own names. memory, file_bytes (of one file, and of all that it writes
    into the writable folders), output: bytes."""

    def __init__(self, readable=(), writable=(), memory=2048 * MIB, processes=64, file_bytes=256 * MIB, output=4 * MIB, trusted=False,
                 binary=False):
        self.readable, self.writable = [str(p) for p in readable], [str(p) for p in writable]
        self.memory, self.processes, self.file_bytes, self.output = memory, processes, file_bytes, output
        self.trusted, self.binary = trusted, binary   # binary: standard output comes as bytes
        self.user = NOBODY + os.getpid() % 4000 if os.getuid() == 0 else None

    def check(self):
        """Raises Missing where nothing could be run."""
        if self.trusted:
            return
        if not shutil.which("bwrap"):
            raise Missing("bubblewrap (bwrap) is not installed, so nothing can be run safely: apt-get install bubblewrap")
        done = subprocess.run(self.wrap(["true"]), capture_output=True, text=True, check=False, **self.identity())
        if done.returncode:
            raise Missing(f"bubblewrap does not work here (unprivileged user namespaces may be off): {done.stderr.strip()}")

    def own(self, folder):
        """Gives a folder of ours to the user that commands run as."""
        if self.user and not self.trusted:
            for path, folders, files in os.walk(folder):
                for name in [path] + [os.path.join(path, entry) for entry in folders + files]:
                    os.chown(name, self.user, self.user, follow_symlinks=False)

    def identity(self):
        """Arguments for subprocess: who runs it, and what the kernel limits for each process."""
        if self.trusted:
            return {"start_new_session": True, "preexec_fn": end_with_parent}
        who = {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}
        mine = 0 if self.user else sum(1 for name in os.listdir("/proc") if name.isdigit() and self._is_mine(name))

        def limit():
            for what, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, self.file_bytes), (resource.RLIMIT_NOFILE, 256),
                               (resource.RLIMIT_NPROC, mine + self.processes), (resource.RLIMIT_MEMLOCK, 0)):
                hard = resource.getrlimit(what)[1]
                most = most if hard == resource.RLIM_INFINITY else min(most, hard)
                resource.setrlimit(what, (most, most))
        return who | {"start_new_session": True, "preexec_fn": limit}

    @staticmethod
    def _is_mine(pid):
        try:
            return os.stat(f"/proc/{pid}").st_uid == os.getuid()
        except OSError:
            return False

    def wrap(self, command, cwd="/tmp", env=None):
        """The command line that runs a command inside."""
        if self.trusted:
            return list(command)
        line = ["bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session", "--clearenv",
                "--hostname", "sandbox", "--cap-drop", "ALL", "--proc", "/proc", "--dev", "/dev",
                "--size", str(64 * MIB), "--tmpfs", "/tmp"]
        for path in SYSTEM:
            if os.path.islink(path):
                line += ["--symlink", os.readlink(path), path]
            elif os.path.exists(path):
                line += ["--ro-bind", path, path]
        for path in self.readable:
            line += ["--ro-bind", path, path]
        for path in self.writable:
            line += ["--bind", path, path]
        line += ["--remount-ro", "/dev"]   # or /dev/shm could be filled
        for name, value in {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "LC_ALL": "C", **(env or {})}.items():
            line += ["--setenv", name, value]
        return line + ["--chdir", str(cwd), "--", *command]

    def run(self, command, cwd="/tmp", env=None, seconds=60):
        """Runs it to its end or to a limit; `seconds` are on the wall, times the machine's load. Output is text, cut at the limit."""
        environment = dict(os.environ, **(env or {})) if self.trusted else {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}
        process = subprocess.Popen(self.wrap(command, cwd, env), cwd=cwd if self.trusted else "/", env=environment,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **self.identity())
        texts, stopped = {process.stdout: b"", process.stderr: b""}, ""
        try:
            stopped = self._watch(process, texts, time.monotonic() + seconds * load(), seconds)
        finally:
            self._end(process)
        for pipe in texts:
            pipe.close()
        out, err = texts.values()
        return Done(process.returncode, out if self.binary else out.decode("utf-8", "replace"), err.decode("utf-8", "replace"), stopped)

    def _watch(self, process, texts, deadline, seconds):
        """Until all output is read and the process has ended; the limit that was passed, or ""."""
        pipes, looked, looks, before = list(texts), 0.0, 0, written(self.writable)
        while pipes or process.poll() is None:
            if time.monotonic() > deadline:
                return f"it did not end within {seconds:.0f} s"
            if time.monotonic() - looked >= LOOK_SECONDS:
                looked, looks = time.monotonic(), looks + 1
                stopped = self._look(process.pid, before if looks % 10 == 0 else None)
                if stopped:
                    return stopped
            for pipe in select.select(pipes, [], [], LOOK_SECONDS)[0]:
                data = os.read(pipe.fileno(), 65536)
                if not data:
                    pipes.remove(pipe)
                texts[pipe] += data
            if sum(map(len, texts.values())) > self.output:
                return f"it printed more than {self.output // MIB} MiB"
        return ""

    def _look(self, pid, written_before):
        """The limit of a whole group of processes that was passed, or ""."""
        if self.trusted:
            return ""
        pids = descendants(pid)
        if len(pids) > self.processes:
            return f"it started more than {self.processes} processes"
        if resident(pids) > self.memory:
            return f"it used more than {self.memory // MIB} MiB of memory"
        if written_before is not None and written(self.writable) > written_before + self.file_bytes:
            return f"it wrote more than {self.file_bytes // MIB} MiB into files"
        return ""

    @staticmethod
    def _end(process):
        """All of it: bubblewrap's children die with it."""
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        process.wait()
