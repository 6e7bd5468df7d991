"""Which submissions may be linked with the host's checks: those that could be part of the memory manager.

The checks run in the submission's own address space, so what it can do there decides what their word is worth. mm/ is freestanding C:
it asks the world for nothing but mm/port.h. Who keeps to that can neither print a report nor end the check, read a file nor trace its
judge. So two things are looked at, before anything is linked:

    the text, preprocessed      no assembler, no attribute or pragma that reaches the linker or switches a sanitizer off
    the objects' symbols        it calls what mm/ offers and port_*, and four functions of <string.h>; it defines nothing that others mean

What remains is C that leaves its own memory on purpose, past the sanitizers. Such a submission could still say that it passed; the
guest's checks do not listen to it.
"""

import functools
import re
import subprocess

import judge

ATTRIBUTES = set("""noinline always_inline unused used aligned packed warn_unused_result noreturn cold hot pure const malloc fallthrough
nonnull returns_nonnull flatten leaf deprecated format may_alias optimize gnu_inline artificial alloc_size mode vector_size noclone
transparent_union designated_init""".split())
STRING = {"memcpy", "memset", "memmove", "memcmp"}
SANITIZER = re.compile(r"__(asan_(report_|init|version|(un)?register_globals|(un)?register_elf_globals|handle_no_return"
                       r"|stack_(malloc|free)_|set_shadow_|option_|(un)?poison_(stack|cxx)|allocas?|before_dynamic|after_dynamic"
                       r"|(exp_)?(load|store))|ubsan_handle_)\w*$")
OWN = re.compile(r"page|memblock|table|space|area|shared|heap|kmalloc|kzalloc|krealloc|kfree|kmem|slab|vmalloc|bump|freelist|fault|cache"
                 r"|HEAPS|POISON")


class NotAdmitted(judge.DoesNotCompile):
    """The text says what was found and what to do."""


def without_literals(text):
    """Without what stands in strings, and with brackets spelt in one way. Raw strings, which end by other rules, could hide code."""
    def literal(match):
        if match.group(1):
            raise NotAdmitted("a raw string is not for the memory manager: write a plain one")
        return '""'
    text = re.sub(r'(\b(?:u8|[uUL])?R")|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', literal, text)
    text = text.replace("<:", "[").replace(":>", "]")
    return re.sub(r"\[\s*(?=\[)", "[", re.sub(r"\]\s*(?=\])", "]", text))


def attributes(text):
    """Names of all attributes."""
    found = []
    for match in re.finditer(r"\b__attribute(?:__)?\s*\(", text):
        depth, at = 1, match.end()
        while at < len(text) and depth:
            token = re.compile(r"\w+|.", re.S).match(text, at)
            at = token.end()
            depth += {"(": 1, ")": -1}.get(token.group(), 0)
            if depth == 2 and re.match(r"[A-Za-z_]", token.group()):
                found.append(token.group())
    for match in re.finditer(r"\[\[(.*?)\]\]", text, re.S):
        found += re.findall(r"\w+", re.sub(r"\(.*?\)", "", match.group(1)))
    return [name.strip("_") for name in found]


def admit_text(file, text):
    """text: the file after the preprocessor, in which no token can be made of others any more."""
    text = without_literals(text)
    if re.search(r"\b(asm|__asm|__asm__)\b", text):
        raise NotAdmitted(f"{file}: assembler: the memory manager is written in C (functions of the C library's headers bring some, too)")
    wrong = sorted(set(attributes(text)) - ATTRIBUTES)
    if wrong:
        raise NotAdmitted(f"{file}: __attribute__(({wrong[0]})) is not for the memory manager")
    for match in re.finditer(r"^\s*#\s*pragma\s+(.*)$|_Pragma", text, re.M):
        if not re.match(r"(GCC\s+(optimize|diagnostic|push_options|pop_options|unroll|ivdep)\b|once|STDC\b)", match.group(1) or ""):
            raise NotAdmitted(f"{file}: #pragma {match.group(1) or ''} is not for the memory manager")


def symbols(objects):
    """(defined for others to use, used) by objects."""
    done = subprocess.run(["nm", "-A", *objects], capture_output=True, text=True, check=True)
    defined, used = set(), set()
    for line in done.stdout.splitlines():
        kind, name = line.rsplit(None, 2)[1:]
        if kind in "Uvw":
            used.add(name)
        elif kind.isupper() or kind in "iu":
            defined.add(name)
    return defined, used


@functools.cache
def library_names():
    """What the C library and the sanitizers call theirs."""
    names = set()
    for library in ("libc.so.6", "libasan.so", "libubsan.so", "libm.so.6"):
        path = subprocess.run(["gcc", "-print-file-name=" + library], capture_output=True, text=True, check=True).stdout.strip()
        done = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=False)
        names |= {line.split()[-1].split("@")[0] for line in done.stdout.splitlines() if line.strip()}
    return names


def admit_objects(own, others, reference):
    """own: the submission's objects; others: all that they are linked with; reference: the reference's objects of the same files."""
    expected, needed = symbols(reference)
    defined, used = symbols(own)
    offered, asked = symbols(others)
    for name in sorted(used - defined - needed - STRING):
        if SANITIZER.match(name) or name.startswith("port_") and name in offered or name in offered and OWN.match(name) or \
                name == "_GLOBAL_OFFSET_TABLE_":
            continue
        raise NotAdmitted(f"it uses {name}, which is no part of the memory manager: mm/ calls its own functions and those of mm/port.h only"
                          if name in offered or name in library_names() else f"undefined reference to `{name}'")
    for name in sorted(defined - expected):
        if name.startswith("_") or name in offered | asked or name in library_names():
            raise NotAdmitted(f"it defines {name}, which is somebody else's: give the function another name, or make it static")
