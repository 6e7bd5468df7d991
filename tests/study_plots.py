"""The study's plots: a panel for each heap, all with the same axes; its own line in blue over everybody else's in grey."""

import math

import matplotlib
matplotlib.use("svg")
from matplotlib import pyplot, ticker   # noqa: E402  (after the choice of a back end)

# Blue and vermilion of Okabe and Ito's palette: told apart by every kind of eye, and in grey.
OWN, MARK, OTHERS, FAINT, TEXT = "#0072B2", "#D55E00", "#C4C4C4", "#ECECEC", "#333333"
COLUMNS = 5
matplotlib.rcParams.update({
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#888888", "axes.labelcolor": TEXT,
    "xtick.color": TEXT, "ytick.color": TEXT, "text.color": TEXT, "axes.titlelocation": "left", "axes.titleweight": "bold",
    "axes.titlesize": 10, "svg.hashsalt": "quire", "figure.dpi": 100})


def panels(heaps, title, x_label, y_label):
    """A figure with a panel for each heap, and the panels."""
    rows = math.ceil(len(heaps) / COLUMNS)
    figure, axes = pyplot.subplots(rows, COLUMNS, figsize=(13, 1.3 + 2.6 * rows), sharex=True, sharey=True, layout="constrained",
                                   squeeze=False)
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    figure.supxlabel(x_label, fontsize=10)
    figure.supylabel(y_label, fontsize=10)
    flat = list(axes.flat)
    for unused in flat[len(heaps):]:
        unused.set_visible(False)
    for place, (axis, heap) in enumerate(zip(flat, heaps)):
        axis.set_title(heap)
        axis.tick_params(labelbottom=place + COLUMNS >= len(heaps))   # the lowest of its column
    return figure, flat


def save(figure, out, name):
    figure.savefig(out / f"{name}.svg", metadata={"Date": None})
    pyplot.close(figure)


def lines(data, x, y, axes):
    """In each panel all heaps' lines, its own on top with its last value."""
    for axis, heap in zip(axes, data):
        for other, rows in data.items():
            if other != heap:
                axis.plot([row[x] for row in rows], [row[y] for row in rows], color=OTHERS, linewidth=0.8)
        rows = data[heap]
        axis.plot([row[x] for row in rows], [row[y] for row in rows], color=OWN, linewidth=2)
        value = rows[-1][y]
        axis.annotate(f"{value:,.0f}" if value >= 10 else f"{value:.2g}", (rows[-1][x], value), (3, 0), textcoords="offset points",
                      color=OWN, va="center", fontsize=9, fontweight="bold", annotation_clip=False,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})


def plain(value, _):
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def logarithmic(axis):
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.xaxis.set_major_locator(ticker.LogLocator(base=8))
    axis.xaxis.set_major_formatter(plain)
    axis.yaxis.set_major_formatter(plain)


def memory(data, out):
    figure, axes = panels(data, "What a heap holds of the machine's memory (blue), and what its users asked for (grey)",
                          "calls, thousands    "
                          "(1: small blocks come   2: come and go   3: larger ones come   4: most go   5: small ones again)", "MiB")
    peaks = sorted(max(row["held"] for row in rows) for rows in data.values())
    top = 1.6 * peaks[len(peaks) // 2] / 2**20
    for axis, rows in zip(axes, data.values()):
        calls, held = [row["call"] / 1000 for row in rows], [row["held"] / 2**20 for row in rows]
        axis.fill_between(calls, [row["asked"] / 2**20 for row in rows], color=OTHERS, linewidth=0)
        axis.plot(calls, held, color=OWN, linewidth=2)
        axis.set_ylim(0, top)
        axis.set_xlim(0, max(line[-1]["call"] for line in data.values()) / 1000)
        for act in sorted({row["act"] for row in rows}):   # not all, where the heap has used up what it can have
            start = next(row["call"] for row in rows if row["act"] == act) / 1000
            axis.axvline(start, color="#AAAAAA", linewidth=0.5, linestyle=":")
            axis.annotate(str(act), (start, top), (3, -10), textcoords="offset points", fontsize=8, color="#777777",
                          bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})
        if max(held) > top:
            axis.annotate(f"up to {max(held):.0f} MiB ↑", (calls[-1], top), (-2, -22), textcoords="offset points", ha="right",
                          color=OWN, fontsize=9, fontweight="bold")
    axes[0].yaxis.set_major_locator(ticker.MaxNLocator(5, integer=True))
    save(figure, out, "memory")


def cost(data, out):
    figure, axes = panels(data, "What a call costs as more blocks are in use", "live blocks", "instructions a call")
    lines(data, "live", "instructions", axes)
    logarithmic(axes[0])
    save(figure, out, "cost")


def time(data, out):
    figure, axes = panels(data, "How long a call takes by the size that is asked for, beside the host's malloc", "bytes",
                          "multiples of malloc's time")
    for axis in axes[:len(data)]:
        axis.axhline(1, color=MARK, linewidth=1, zorder=1.5)
    first = next(iter(data.values()))[0]["bytes"]
    axes[0].annotate("malloc", (first, 1), (0, 3), textcoords="offset points", color=MARK, fontsize=8)
    lines(data, "bytes", "ratio", axes)
    logarithmic(axes[0])
    save(figure, out, "time")


def adversaries(data, out):
    """A field for each stream and heap: the darker, the more memory it needs."""
    heaps, streams = list(data), [row["stream"] for row in next(iter(data.values()))]
    figure, axis = pyplot.subplots(figsize=(12, 1.4 + 0.42 * len(streams)), layout="constrained")
    figure.suptitle("Memory needed, in multiples of what was in use at most", x=0.01, ha="left", fontsize=13, fontweight="bold")
    for x, heap in enumerate(heaps):
        for y, row in enumerate(data[heap]):
            shade = min(1, math.log(max(1, row["figure"])) / math.log(64))
            colour = matplotlib.colormaps["Blues"](0.04 + 0.86 * shade)
            axis.add_patch(pyplot.Rectangle((x, y), 0.94, 0.9, color=colour, linewidth=0))
            if row["defeats"] == heap:
                axis.add_patch(pyplot.Rectangle((x + 0.02, y + 0.02), 0.9, 0.86, fill=False, edgecolor=MARK, linewidth=2))
            text = f"{row['figure']:.0f}" if row["figure"] >= 10 else f"{row['figure']:.1f}" if row["figure"] else "paged"
            axis.text(x + 0.47, y + 0.45, text, ha="center", va="center", color="white" if shade > 0.55 else TEXT)
    axis.set_xlim(0, len(heaps))
    axis.set_ylim(len(streams), 0)
    axis.set_xticks([x + 0.47 for x in range(len(heaps))], heaps, rotation=25, ha="left")
    axis.set_yticks([y + 0.45 for y in range(len(streams))], streams)
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    save(figure, out, "adversaries")


def draw(data, out):
    for plot in (memory, cost, time, adversaries):
        plot(data[plot.__name__], out)
