"""A result in other forms, each made from result.json's contents alone: a page for the student, a summary for the terminal, formats of
other graders."""

import json
import pathlib
import xml.etree.ElementTree as xml

import explain
import show

SIGNS = {"passed": "✓", "failed": "✗", "not reached": "–", "to write": "…"}


def failures(result):
    """What was lost, first failure first: the host's in the order of the steps, then the guest's in the order in which they came up."""
    lost = [check for check in result["checks"] if check["status"] != "passed"]
    return sorted(lost, key=lambda check: (check["where"] != "host", check["status"] != "failed"))


def is_hidden(check):
    return check["step"] == "hidden"


# --- terminal

def groups(result):
    """(title, checks): a step each, then the guest's, then what is hidden."""
    found = {}
    for check in result["checks"]:
        found.setdefault(check["step"], []).append(check)
    return found.items()


def terminal(result):
    """A line a group of checks, then the first failure, explained."""
    score = f"{result['score']} of {result['points']} points"
    room = min(show.width(), 72)
    title = f"Lab {result['lab']}: {result['title']}"
    lines = [show.paint(title, "bold") + " " * max(2, room - len(title) - len(score)) + show.paint(score, "bold")]
    for name, checks in groups(result):
        points = f"{sum(c['score'] for c in checks)}/{sum(c['points'] for c in checks)}"
        lost = [c for c in checks if c["status"] != "passed"]
        word = "done" if not lost else ", ".join(c["name"] for c in lost[:4]) + (" …" if len(lost) > 4 else "")
        lines.append(f"  {name:14}{show.paint(f'{word[:room - 26]:<{room - 26}}', 'yellow' if lost else 'green')}{points:>8}")
    lines += [f"  {note}" for note in result["notes"]]
    lost = failures(result)
    if lost:
        word = "First failure" if lost[0]["status"] == "failed" else "Next"
        lines += ["", show.paint(f"{word}: {lost[0]['step']} {lost[0]['name']}", "red")]
        lines += ["  " + line for line in explain.explain(lost[0], show.width() - 2)]
    return "\n".join(lines)


# --- a page

def html(result, lab):
    """One page that needs nothing else; hints are folded away."""
    import jinja2   # here: a terminal is enough for whoever does not have it
    here = pathlib.Path(__file__).parent
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(here), autoescape=True, trim_blocks=True, lstrip_blocks=True,
                                     undefined=jinja2.StrictUndefined)
    hints = {step["id"]: step["hints"] for step in lab.steps}
    titles = {step["id"]: step["title"] for step in lab.steps} | {"guest": "The kernel in QEMU", "hidden": "Checks of the instructor's"}
    return environment.get_template("report.html.j2").render(
        result=result, groups=[(name, titles.get(name, ""), checks) for name, checks in groups(result)], signs=SIGNS, hints=hints,
        failures=failures(result), place=explain.place, is_hidden=is_hidden)


# --- Gradescope: results.json of its autograders ("Autograder Specifications", Output format)

def gradescope(result):
    tests = []
    for check in result["checks"]:
        test = {"name": f"{check['step']} {check['name']}", "score": check["score"], "max_score": check["points"],
                "status": "passed" if check["status"] == "passed" else "failed", "output_format": "text",
                "visibility": "after_published" if is_hidden(check) else "visible",
                "output": check["invariant"] if check["status"] == "passed" else "\n".join(explain.explain(check, 90))}
        tests.append(test)
    told = {"score": result["score"], "execution_time": round(result["durations"]["all"]), "output": " ".join(result["notes"]),
            "output_format": "text", "visibility": "visible", "stdout_visibility": "hidden", "tests": tests,
            "extra_data": {"lab": result["lab"], "seed": result["seed"], "versions": result["versions"]}}
    return json.dumps(told, indent=1) + "\n"


# --- JUnit: what Jenkins, GitLab and others read

def printable(text):
    """XML has no place for control characters."""
    return "".join(c if c in "\t\n" or " " <= c and c not in "\ufffe\uffff" else "?" for c in text)


def junit(result):
    lost = [c for c in result["checks"] if c["status"] == "failed"]
    skipped = [c for c in result["checks"] if c["status"] in ("not reached", "to write")]
    suite = xml.Element("testsuite", name=f"lab {result['lab']}", tests=str(len(result["checks"])), failures=str(len(lost)), errors="0",
                        skipped=str(len(skipped)), time=str(result["durations"]["all"]))
    known = xml.SubElement(suite, "properties")
    for name in ("score", "points", "seed"):
        xml.SubElement(known, "property", name=name, value=str(result[name]))
    for check in result["checks"]:
        case = xml.SubElement(suite, "testcase", classname=f"lab{result['lab']}.{check['where']}", name=check["name"], time="0")
        if check in lost:
            reason = check["failure"]["actual"] or check["failure"]["why"]
            xml.SubElement(case, "failure", message=printable(reason)[:200], type=check["status"]).text = \
                printable("\n".join(explain.explain(check)))
        elif check in skipped:
            xml.SubElement(case, "skipped", message=printable(check["failure"]["why"] or check["status"])[:200])
    top = xml.Element("testsuites")
    top.append(suite)
    xml.indent(top)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + xml.tostring(top, encoding="unicode") + "\n"


FORMATS = {"gradescope": ("gradescope.json", gradescope), "junit": ("junit.xml", junit)}
