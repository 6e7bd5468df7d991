"""What a student sees on the terminal: a line a step, then the first failure, explained; never a wall of text."""

import os
import pathlib
import re
import shutil
import sys
import textwrap

from skeleton import tagged_functions

CODES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33}


def colours():
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not os.environ.get("NO_COLOR")


def paint(text, colour):
    return f"\033[{CODES[colour]}m{text}\033[0m" if colours() else text


def width():
    return max(40, min(shutil.get_terminal_size((80, 24)).columns, 110))


def field(name, text, colour=None):
    """`name      text`, wrapped beside the name."""
    lines = textwrap.wrap(text, width() - 14) or [""]
    return "\n".join(f"    {name if i == 0 else '':9} {paint(line, colour) if colour else line}" for i, line in enumerate(lines))


def block(name, lines):
    """Lines that are not wrapped but cut."""
    room = width() - 14
    shown = [line if len(line) <= room else line[:room - 1] + "~" for line in lines]
    return "\n".join(f"    {name if i == 0 else '':9} {line}".rstrip() for i, line in enumerate(shown))


def state_of(results):
    if all(r["end"] == "ok" for r in results):
        return "done", "green"
    if any(r["end"] not in ("ok", "hole") for r in results):
        return "failed", "red"
    return ("to write" if any(r["hole"] == r["step"] for r in results) else "waits"), "yellow"


def table(lab, results):
    total = sum(r["points"] for r in results)
    title = f"Lab {lab.number}: {lab.title}"
    score = f"{total} of {lab.points()} points"
    room = min(width(), 72)
    print(paint(title, "bold") + " " * max(2, room - len(title) - len(score)) + paint(score, "bold"))
    for step in lab.steps:
        mine = [r for r in results if r["step"] == step["id"]]
        word, colour = state_of(mine)
        points = f"{sum(r['points'] for r in mine)}/{sum(r['possible'] for r in mine)}"
        left = f"  {step['id']:5}{step['title']}"
        print(f"{left:<{room - 20}}{paint(f'{word:<12}', colour)}{points:>8}")


def source_line(top, place):
    try:
        return pathlib.Path(top, place[0]).read_text(encoding="utf-8", errors="replace").splitlines()[place[1] - 1].strip()
    except (OSError, IndexError):
        return ""


def also(functions):
    """Other functions of the same step, or for the same purpose."""
    return f"; also at {', '.join(functions)}" if functions else ""


def source_of(lab, check):
    """The file that a check stands in."""
    found = [path.name for path in sorted(lab.folder.glob("*.c")) if f"CHECK({check})" in path.read_text(encoding="utf-8")]
    return found[0] if found else "check.c"


def explain(lab, top, result, hint_command):
    """One failed check."""
    print()
    print(paint(f"First failure: {result['step']} {result['check']}", "red") + f" ({result['possible']} points)")
    if result["rule"]:
        print(textwrap.fill(result["rule"], width() - 2, initial_indent="  ", subsequent_indent="  "))
    print()
    if result["expected"]:
        print(field("expected", result["expected"], "green"))
    print(field("actual", result["actual"], "red"))
    calls = result["calls"][-7:]
    if calls:
        print(block("calls", (["..."] if len(result["calls"]) > len(calls) else []) + calls))
    drawing = [line for line in result["map"].splitlines() if line.strip()]
    if drawing:
        print(block("memory", drawing))
    if result.get("place"):
        file, line, function = result["place"]
        print(field("look at", f"{file}:{line}, {function}" + also(result["also"])))
        text = source_line(top, result["place"])
        if len(text) > 1:
            print(block("", [paint(text, "dim") if len(text) < width() - 14 else text]))
    print(field("check", f"CHECK({result['check']}) in labs/{lab.folder.name}/{source_of(lab, result['check'])}"))
    print(field("hint", f"{hint_command} STEP={result['step']}"))


def holes(lab, top, step):
    """(file, line, function) of what is still to be written in a step."""
    for file in lab.files:
        lines = pathlib.Path(top, file).read_text(encoding="utf-8", errors="replace").splitlines()
        for function in tagged_functions("\n".join(lines)):
            if function.step == step and any("is yet to be written" in line for line in lines[function.opens:function.closes]):
                yield file, function.opens + 1, function.name


def next_step(lab, top, results):
    """Where to go on when nothing is wrong, but something is missing."""
    for result in results:
        if result["end"] == "hole":
            step = next(s for s in lab.steps if s["id"] == (result["hole"] or result["step"]))
            print(f"\nNext: {paint(step['id'] + ' ' + step['title'], 'bold')}")
            for file, line, function in holes(lab, top, step["id"]):
                print(field("write", f"{function}, {file}:{line}"))
            print(field("read", f"labs/{lab.folder.name}/README.md, step {step['id']}"))
            return


def show(lab, top, results, hint_command="make hint"):
    table(lab, results)
    failures = [r for r in results if r["end"] not in ("ok", "hole")]
    if failures:
        explain(lab, top, failures[0], hint_command)
        if len(failures) > 1:
            names = ", ".join(f"{r['step']} {r['check']}" for r in failures[1:])
            print("\n" + textwrap.fill(f"Also failed: {names}", width(), subsequent_indent="    "))
    elif all(r["end"] == "ok" for r in results):
        print("\n" + paint("All is done.", "green") + " make grade judges your kernel in QEMU; make qemu boots it.")
    else:
        next_step(lab, top, results)


def show_compiler(lab, text):
    """The first error of the compiler."""
    print(paint(f"Lab {lab.number}: {lab.title}", "bold") + ": " + paint("does not compile yet", "red") + "\n")
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if re.search(r"error|undefined reference", line)), 0)
    for line in lines[start:start + 6]:
        if line != lines[start] and re.search(r": (error|warning|note): ", line):
            break
        print("  " + line[:max(width(), 80) - 2])


def show_hint(lab, step, number):
    shown = step["hints"][:number]
    print(paint(f"{step['id']} {step['title']}", "bold"))
    for i, hint in enumerate(shown, 1):
        print(textwrap.fill(f"{i}. {' '.join(hint.split())}", width() - 2, initial_indent="  ", subsequent_indent="     "))
    if number < len(step["hints"]):
        print(f"  A plainer one: make hint STEP={step['id']} N={number + 1}")
