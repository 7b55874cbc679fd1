"""A picture of the training steps: how many times the first contestant's time the others take."""

from benchmarks import harness

SUITE = "step"


def shown(runs):
    """Return the first of some runs that compares contestants in the suite, or None."""
    return next((run for run in runs if _rows(run)), None)


def _rows(run):
    return [row for row in run.rows if row["suite"] == SUITE and row["ratio"]]


def draw(path, run):
    """Draw a run's ratios into a PNG file that says which run they are of."""
    try:
        import matplotlib
    except ImportError:
        harness.missing("matplotlib", "drawing the picture")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = _rows(run)
    height = 1 + 0.2 * sum(len(row["ratio"]) for row in rows)
    figure, panel = pyplot.subplots(figsize=(9, height), layout="constrained")
    _bars(panel, rows)
    machine = run.facts["machine"]
    figure.suptitle(f"{machine['cpu']}, {machine['instruction set']}", fontsize="small")
    figure.savefig(path, dpi=100, metadata={"Description": _description(run)})
    pyplot.close(figure)


def is_of(path, run):
    """Return whether a file is a picture that `draw` made of that run."""
    return path.exists() and _description(run).encode() in path.read_bytes()


def _description(run):
    return f"run {run.path.name}"


def _bars(panel, rows):
    names = list(dict.fromkeys(name for row in rows for name in row["ratio"]))
    labels, at = [], 0
    for row in rows:
        labels.append((at, f"{row['name']} {row['shape']} {row['dtype']}, {row['threads']} thr."))
        for name, ratio in row["ratio"].items():
            panel.barh(at, ratio - 1, left=1, color=f"C{names.index(name)}")
            at += 1
    for i, name in enumerate(names):
        panel.barh(0, 0, left=1, color=f"C{i}", label=name)
    panel.set_yticks([y for y, _ in labels], [text for _, text in labels], fontsize="x-small")
    panel.set_ylim(at - 0.5, -0.5)
    panel.set_xscale("log")
    panel.axvline(1, color="black", linewidth=0.8)
    ours = next(iter(rows[0]["seconds"]))
    panel.set_title(f"{SUITE}: median time, as a multiple of that of {ours}", fontsize=9)
    panel.legend(fontsize="x-small")
