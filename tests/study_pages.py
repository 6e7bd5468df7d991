"""The study's pages: index.html with the plots, study.md with the figures; the same words in both."""

import html

PLOTS = {
    "memory": ("Memory over time", """\
Each heap begins empty in a machine of 128 MiB and lives through five acts: (1) small blocks come and stay, (2) a random one goes and
another comes, (3) a quarter of them is replaced by larger ones, (4) most go, (5) small ones come and go again. Grey is what the users
asked for; blue is what the heap has taken from the page allocator and not given back. The gap in act 2 is headers, rounding and holes;
what is left in act 4 is what the few survivors pin. The steps are how heaps grow: by a quarter or half of what they have."""),
    "cost": ("Instructions by the number of blocks", """\
A free of a random block and a kmalloc of another size, after many of them, at each number of live blocks. A flat line costs the same
however full the heap is; a rising one searches. Counted by callgrind on this machine's processor, so exact, and the same in each run; the
loop around the calls is in it with about five instructions a call, locks are not. The bold number is the last point."""),
    "time": ("Time by size", """\
32 blocks of one size are taken and given back, last first, in a heap that 1,000 blocks of other sizes and as many holes are in. Times
are multiples of what the host's malloc took in the same minute (the line at 1): lower is faster. guard rises because it reads all bytes.
A line that ends early is a heap that used up the machine."""),
    "adversaries": ("Streams that defeat a heap", """\
Each row is a stream of requests, made by somebody who knows the weakness of the heap in the frame and sees the addresses that it gives;
all other heaps get the same requests. The numbers are memory that any block ever lay in, over what was in use at most: 1 is perfect.
Robson's game is played against each heap for itself, and has no frame: it defeats everyone. Tests hold each framed number up, and that of
the heap that is named beside it in the table down (mm/host/test_adversary.c)."""),
}


def figures(data, study, key, value):
    """A row for each `key`, a column for each heap; None where a heap has none."""
    keys = dict.fromkeys(row[key] for rows in data[study].values() for row in rows)
    found = {(heap, row[key]): row[value] for heap, rows in data[study].items() for row in rows}
    return [[name, *(found.get((heap, name)) for heap in data[study])] for name in keys]


def tables(data):
    """(study, first column, rows): what study.md shows, heaps in columns."""
    yield "adversaries", "stream", figures(data, "adversaries", "stream", "figure")
    yield "cost", "live blocks", figures(data, "cost", "live", "instructions")
    yield "time", "bytes", figures(data, "time", "bytes", "ratio")
    acts = {}
    for heap, rows in data["memory"].items():
        for row in rows:   # the last of each act stays
            acts.setdefault(row["act"], {})[heap] = row["held"] / row["asked"]
    yield "memory", "at the end of act", [[act, *map(ratios.get, data["memory"])] for act, ratios in acts.items()]


def cell(value):
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


UNITS = {"adversaries": "memory needed / used at most", "cost": "instructions a call", "time": "multiples of malloc's time",
         "memory": "memory held / asked for"}


def markdown(data):
    heaps = list(data["memory"])
    parts = ["# What each heap costs\n"]
    for study, first, rows in tables(data):
        title, text = PLOTS[study]
        parts += [f"\n## {title}\n\n{text}\n\n{UNITS[study]}:\n\n| {first} | {' | '.join(heaps)} |\n|---|{'---:|' * len(heaps)}"]
        parts += ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
        if study == "adversaries":
            parts += ["\n| stream | defeats | its figure | another heap | its figure | why |\n|---|---|---:|---|---:|---|"]
            parts += [f"| {stream} | {' | '.join(row)} |" for stream, row in defeats(data).items()]
    return "\n".join(parts) + "\n"


def defeats(data):
    """{stream: (defeated, figure, other, figure, why)}"""
    found = {(heap, row["stream"]): row["figure"] for heap, rows in data["adversaries"].items() for row in rows}
    return {row["stream"]: (row["defeats"], cell(found[row["defeats"], row["stream"]]), row["other"],
                            cell(found[row["other"], row["stream"]]), row["what"])
            for row in next(iter(data["adversaries"].values())) if row["defeats"]}


def page(data):
    parts = ["<!doctype html><html lang='en'><meta charset='utf-8'><title>What each heap costs</title><style>"
             "body{font:16px/1.5 sans-serif;color:#333;max-width:80rem;margin:2rem auto;padding:0 1rem}p{max-width:46rem}"
             "img{width:100%}table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:left;border-bottom:1px solid #ddd}"
             "</style><h1>What each heap costs</h1><p>Made by <code>make study</code>, which measures every heap of <code>HEAPS</code>. "
             "The figures are in <a href='study.md'>study.md</a> and <a href='study.json'>study.json</a>.</p>"]
    for study, (title, text) in PLOTS.items():
        parts.append(f"<h2>{title}</h2><p>{html.escape(text)}</p><img src='{study}.svg' alt='{title}'>")
    parts.append("<table><tr><th>stream<th>defeats<th><th>another heap<th><th>why</tr>")
    for stream, row in defeats(data).items():
        parts.append("<tr>" + "".join(f"<td>{html.escape(value)}" for value in (stream, *row)) + "</tr>")
    return "".join(parts) + "</table></html>\n"


def write(data, out):
    (out / "study.md").write_text(markdown(data), encoding="utf-8")
    (out / "index.html").write_text(page(data), encoding="utf-8")
