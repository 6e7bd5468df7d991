"""A failed check in plain text, for terminals and for formats that have room for nothing else."""

import textwrap

import show


def no_failure():
    """A failure's fields: why nothing is known, or what was expected and seen; the calls that led there; a map of the memory around the
    place; what was said, which is no evidence; the scenario; place: [file, line, function] of the submission's, that line, and in `also`
    names of more functions to look at."""
    return {"why": "", "expected": "", "actual": "", "calls": [], "map": "", "said": "", "scenario": "", "place": None, "line": "",
            "also": []}


def field(name, text, width):
    lines = textwrap.wrap(text, width - 10) or [""]
    return [f"{name if i == 0 else '':9} {line}" for i, line in enumerate(lines)]


def block(name, lines):
    return [f"{name if i == 0 else '':9} {line}".rstrip() for i, line in enumerate(lines)]


def place(failure):
    file, line, function = failure["place"] or (None, None, None)
    return (f"{file}:{line}, " if file else "") + function + show.also(failure["also"]) if function else ""


def explain(check, width=110):
    """Lines, the most useful first: what must hold, what was expected and seen, the calls that led there, a map, where to look."""
    failure, lines = check["failure"], textwrap.wrap(check["invariant"], width)
    for name in ("why", "expected", "actual"):
        if failure[name]:
            lines += field(name, failure[name], width)
    if failure["calls"]:
        lines += block("calls", failure["calls"])
    if failure["map"]:
        lines += block("memory", [line for line in failure["map"].splitlines() if line.strip()])
    if failure["said"]:   # a guest's last words, a compiler's message: to read, no evidence
        lines += block("said", failure["said"].splitlines()[:40])
    if failure["scenario"]:
        lines += field("found by", failure["scenario"], width)
    if failure["place"]:
        lines += field("look at", place(failure), width)
        if failure.get("line"):
            lines += block("", [failure["line"]])
    return lines
