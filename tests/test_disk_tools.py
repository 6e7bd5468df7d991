"""mkfs says what is in the way; fsck finds each kind of fault when it is planted."""

import os
import re
import struct
import subprocess
import tempfile

from power_loss import build
from suite import TOP, expect_that, test

BLOCK = 4096
MKFS = os.path.join(TOP, "build/host/mkfs")


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True)
    return result.returncode, result.stdout + result.stderr


def fails(expected, *command):
    status, said = run(*command)
    expect_that(status != 0 and expected in said, f"{' '.join(command)}\nsaid {said!r}, status {status}; expected {expected!r}")


@test()
def mkfs_errors():
    build()
    with tempfile.TemporaryDirectory(prefix="quire-") as directory:
        image, big, long_name = (os.path.join(directory, name) for name in ("fs.img", "big", "a-name-of-15-byt"))
        for path, size in ((big, 4 << 20), (long_name, 1)):
            with open(path, "wb") as out:
                out.write(b"x" * size)
        fails("usage", MKFS, image)
        fails("usage", MKFS, image, "many")
        fails("usage", MKFS, image, "999999999")
        fails("too few", MKFS, image, "50")
        fails("do not fit into 1000 blocks", MKFS, image, "1000", big)
        fails("bytes long", MKFS, image, "1000", long_name)
        fails("two files would be named /big", MKFS, image, "4096", big, big + "/../_big.o", big)
        fails("No such file", MKFS, image, "1000", os.path.join(directory, "missing"))
        fails("No such file", MKFS, os.path.join(directory, "missing/fs.img"), "1000")
        expect_that(not os.path.exists(image), "a failed mkfs left an image behind")


class Image:
    """A small disk with /one (20 blocks) and /two, to damage."""

    def __init__(self, directory, fsck):
        self.path, self.fsck = os.path.join(directory, "fs.img"), fsck
        files = []
        for name, size in (("one", 20 * BLOCK), ("two", 5)):
            files.append(os.path.join(directory, name))
            with open(files[-1], "wb") as out:
                out.write(b"x" * size)
        status, said = run(MKFS, self.path, "600", *files)
        expect_that(status == 0, said)
        with open(self.path, "rb") as file:
            self.whole = file.read()
        words = struct.unpack_from("<8I", self.whole, BLOCK)
        self.inodes, self.bitmap, self.log = words[6] * BLOCK, words[7] * BLOCK, words[5] * BLOCK
        self.root = self.word(self.inodes + 64 + 12) * BLOCK
        self.leaf = self.word(self.inodes + 2 * 64 + 12 + 11 * 4) * BLOCK

    def word(self, at):
        return struct.unpack_from("<I", self.whole, at)[0]

    def says(self, expected, *changes):
        """With these changes, (format, offset, value) each, fsck finds the expected fault."""
        damaged = bytearray(self.whole)
        for form, at, value in changes:
            struct.pack_into("<" + form, damaged, at, value)
        with open(self.path, "wb") as file:
            file.write(damaged)
        status, said = run(self.fsck, self.path)
        expect_that(status == 1 and re.search(expected, said), f"{changes}: fsck said {said!r}, status {status}; expected {expected!r}")


@test()
def fsck_finds_faults():
    _, fsck = build()
    with tempfile.TemporaryDirectory(prefix="quire-") as directory:
        i = Image(directory, fsck)
        status, said = run(fsck, i.path)
        expect_that(status == 0 and "2 files, 1 directories" in said, said)
        one, two, root, entry = i.inodes + 2 * 64, i.inodes + 3 * 64, i.inodes + 64, i.root
        i.says("magic number", ("I", BLOCK, 1))
        i.says("the image has only 600", ("I", BLOCK + 4, 601))
        i.says("log .* is out of place", ("I", BLOCK + 20, 1))
        i.says("inodes or bitmap are out of place", ("I", BLOCK + 28, 3))
        i.says("inode 3: type 9 is unknown", ("h", two, 9))
        i.says("inode 3: its block 1 of 2 is missing", ("I", two + 8, 5000))
        i.says("inode 2: has block 19 behind its end", ("I", one + 8, 19 * BLOCK))
        i.says("more than a file can have", ("I", one + 8, 0xffffffff))
        i.says("inode 3: data is block 7, which is not a data block", ("I", two + 12, 7))
        i.says(r"block \d+: used by inode 2 and, as data, by inode 3", ("I", two + 12, i.word(one + 12)))
        i.says(r"block \d+: used by inode 2", ("I", i.leaf, i.word(i.leaf + 4)))
        i.says("block 599: marked as used, but nothing names it", ("B", i.bitmap + 599 // 8, 0x80))
        i.says("block 2: in use by inode 0, but marked as free", ("B", i.bitmap, 0xfb))
        i.says("is not `.`", ("I", entry, 0))
        i.says("its `.` is inode 2", ("H", entry, 2))
        i.says("its `..` is inode 2, but", ("H", entry + 16, 2))
        i.says("name \"one\" is there twice", ("14s", entry + 3 * 16 + 2, b"one"))
        i.says("not filled up with zeroes", ("14s", entry + 3 * 16 + 2, b"two\0x"))
        i.says("impossible name", ("14s", entry + 3 * 16 + 2, b"a/b"))
        i.says("is inode 100, which is free", ("H", entry + 3 * 16, 100))
        i.says("is inode 60000, which is none", ("H", entry + 3 * 16, 60000))
        i.says("inode 3: 2 links, but 1 names", ("h", two + 6, 2))
        i.says("inode 3: 1 links, but 0 names", ("H", entry + 3 * 16, 0))
        i.says("the root is not a directory", ("h", root, 2))
        i.says("does not hang under the root", ("h", two, 1), ("H", entry + 3 * 16, 0))
