"""Takes the files that a lab lists, and no others, out of what was handed in: a folder, a tar or zip archive, or a git repository.

    take("work.tar.gz", ["mm/page_buddy.c"])                     -> {"mm/page_buddy.c": b"…"}, {"revision": …}
    take("repository", …, revision="v1")  take(…, before="2026-11-26 12:00")   the last commit before a deadline

A file may stand under its full name, below one folder that holds everything, or alone under its last name. It must be a plain file of
at most MOST_BYTES. Links, absolute names and names with `..` are refused where they are a lab's file, and never followed. Nothing is
ever unpacked to disk.
"""

import io
import os
import stat
import subprocess
import tarfile
import zipfile
import zlib

from sandbox import Sandbox

MOST_BYTES = 256 << 10      # of one file
MOST_UNPACKED = 64 << 20    # of an archive that is read to find them
MOST_MEMBERS = 20000


class Refused(Exception):
    """What was handed in cannot be graded as it is; the text says what is wrong and what to do."""


class Unusable(Exception):
    """The grader was called wrongly: there is no such submission, or no such revision."""


def take(path, files, revision=None, before=None):
    """({name: bytes} of those of `files` that were handed in, what is known of the source). Raises Refused, Unusable."""
    if not os.path.exists(path):
        raise Unusable(f"{path}: there is no such file or folder")
    if revision or before:
        return from_git(path, files, revision, before)
    if os.path.isdir(path):
        return from_folder(path, files), {"kind": "folder"}
    try:
        with open(path, "rb") as file:
            head = file.read(512)
        if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
            return from_zip(path, files), {"kind": "zip"}
        return from_tar(path, files), {"kind": "tar"}
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise Refused(f"the archive cannot be read ({error}): hand in a folder, a tar (plain, gz, bz2, xz), a zip or a git repository") \
            from error


def bounded(name, data):
    if len(data) > MOST_BYTES:
        raise Refused(f"{name} is larger than {MOST_BYTES >> 10} KiB: hand in the source only")
    if b"\0" in data:
        raise Refused(f"{name} is no text: it has zero bytes in it")
    return data


# --- where a lab's file may stand

def wanted(name, files):
    """(the lab's file that this name stands for, how far it is from the best place), or None."""
    parts = [part for part in name.replace("\\", "/").split("/") if part != "."]
    plain = not name.startswith("/") and ".." not in parts
    for file in files:
        own = file.split("/")
        if parts[-len(own):] == own and len(parts) <= len(own) + 1:
            rank = len(parts) - len(own)
        elif parts == own[-1:]:
            rank = 2
        else:
            continue
        if not plain:
            raise Refused(f"{name!r} leads out of the archive: hand in {file} under its own name")
        return file, rank
    return None


class Found:
    """Of several places the best; two equally good ones are no choice for us to make."""

    def __init__(self):
        self.best = {}

    def offer(self, file, rank, name):
        """Whether this one is better than what there was."""
        if file in self.best and self.best[file][0] == rank and self.best[file][1] != name:
            raise Refused(f"{file} is there twice, as {self.best[file][1]!r} and as {name!r}: hand in one")
        if file in self.best and self.best[file][0] < rank:
            return False
        self.best[file] = (rank, name)
        return True


# --- folders

def from_folder(top, files):
    taken = {}
    for file in files:
        for name in (file, file.split("/")[-1]):
            data = read_plain(top, name)
            if data is not None:
                taken[file] = bounded(file, data)
                break
    return taken


def read_plain(top, name):
    """The bytes of a plain file below `top`, of which no folder is a link; None where there is none."""
    folder = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in name.split("/")[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        last = name.split("/")[-1]
        if not stat.S_ISREG(os.lstat(last, dir_fd=folder).st_mode):
            raise Refused(f"{name} is no plain file: hand in the file itself, no link")
        with open(os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder), "rb") as file:
            return file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refused(f"{name} cannot be read ({error.strerror}): folders must not be links, and the file must be readable") from error
    finally:
        os.close(folder)


# --- archives

class Limited(io.RawIOBase):
    """An archive that gives no more than so many bytes, however small it looks."""

    def __init__(self, inner, most):
        super().__init__()
        self.inner, self.left = inner, most

    def readable(self):
        return True

    def readinto(self, buffer):
        data = self.inner.read(min(len(buffer), 1 << 16))
        self.left -= len(data)
        if self.left < 0:
            raise Refused(f"the archive unpacks to more than {MOST_UNPACKED >> 20} MiB: hand in the source only")
        buffer[:len(data)] = data
        return len(data)


def opened(path):
    """The bytes of a tar, whatever it was packed with."""
    import bz2
    import gzip
    import lzma
    with open(path, "rb") as file:
        head = file.read(6)
    for magic, module in ((b"\x1f\x8b", gzip), (b"BZh", bz2), (b"\xfd7zXZ\0", lzma)):
        if head.startswith(magic):
            return module.open(path, "rb")
    return open(path, "rb")


def from_tar(path, files):
    found, taken = Found(), {}
    with opened(path) as raw, tarfile.open(fileobj=Limited(raw, MOST_UNPACKED), mode="r|") as archive:
        for count, member in enumerate(archive):
            if count > MOST_MEMBERS:
                raise Refused(f"the archive has more than {MOST_MEMBERS} members: hand in the source only")
            match = wanted(member.name, files)
            if not match or member.isdir():
                continue
            if not member.isreg():
                raise Refused(f"{member.name} is no plain file in the archive: hand in the file itself, no link")
            if found.offer(*match, member.name):
                taken[match[0]] = bounded(match[0], archive.extractfile(member).read(MOST_BYTES + 1))
    return taken


def from_zip(path, files):
    found, taken = Found(), {}
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > MOST_MEMBERS:
            raise Refused(f"the archive has more than {MOST_MEMBERS} members: hand in the source only")
        for member in members:
            match = wanted(member.filename, files)
            if not match or member.is_dir():
                continue
            mode = member.external_attr >> 16
            if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
                raise Refused(f"{member.filename} is no plain file in the archive: hand in the file itself, no link")
            if found.offer(*match, member.filename):
                with archive.open(member) as file:
                    taken[match[0]] = bounded(match[0], file.read(MOST_BYTES + 1))
    return taken


# --- repositories

def git(repository, *arguments, binary=False):
    """git in the sandbox, where the repository cannot be written to and its configuration reaches nothing of ours."""
    box = Sandbox(readable=[repository], output=MOST_UNPACKED, binary=binary)
    done = box.run(["git", "--no-pager", "-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-C",
                    repository, *arguments], env={"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_NO_LAZY_FETCH": "1",
                                                  "GIT_NO_REPLACE_OBJECTS": "1", "GIT_ALLOW_PROTOCOL": "none"}, seconds=30)
    if done.stopped:
        raise Refused(f"git does not come to an end with this repository: {done.stopped}")
    return done


def from_git(path, files, revision, before):
    repository = os.path.abspath(path)
    name = revision or "HEAD"
    if name.startswith("-"):
        raise Unusable(f"{name!r} is no revision")
    if before:
        done = git(repository, "rev-list", "-1", f"--before={before}", name, "--")
    else:
        done = git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", name + "^{commit}")
    commit = done.stdout.strip()
    if done.returncode or not commit:
        when = f" before {before}" if before else ""
        raise Unusable(f"{path}: there is no commit {name}{when} in a git repository there. {done.stderr.strip()}".strip())
    taken, known = {}, {"kind": "git", "commit": commit}
    for file in files:
        for place in (file, file.split("/")[-1]):
            entry = git(repository, "ls-tree", "-z", commit, "--", place).stdout.split("\0")[0]
            if not entry:
                continue
            mode, kind, blob = entry.split("\t")[0].split(" ")
            if kind != "blob" or mode not in ("100644", "100755"):
                raise Refused(f"{place} is no plain file in commit {commit[:12]}: hand in the file itself, no link")
            size = git(repository, "cat-file", "-s", blob).stdout.strip()
            if not size.isdigit() or int(size) > MOST_BYTES:
                raise Refused(f"{file} is larger than {MOST_BYTES >> 10} KiB: hand in the source only")
            taken[file] = bounded(file, git(repository, "cat-file", "blob", blob, binary=True).stdout)
            break
    return taken, known
