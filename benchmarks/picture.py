"""Pictures of the training steps, of a prediction for clusters, and of two training curves.

Of the steps there are two: all contestants, for the page of figures; and one at a glance.
"""

import pathlib

import numpy as np

from benchmarks import harness, prediction, scaling

SUITE = "step"
ALL, SHORT = "step.png", "speed.png"  # beside the run that they show
SCALING = "scaling.png"
CURVES = pathlib.Path(__file__).parent / "results" / "curves.png"
PEERS = {  # of the short picture, and how they are called there
    "torch": "PyTorch",
    "torch.compile": "PyTorch, compiled",
    "jax": "JAX",
    "sklearn": "scikit-learn",
    "reference": "NumPy",
}


def shown(runs):
    """Return of some runs the first with most contestants in the suite; None if none has it."""
    runs = [run for run in runs if _rows(run)]
    return max(runs, key=lambda run: len(_contestants(_rows(run))), default=None)


def _rows(run):
    return [row for row in run.rows if row["suite"] == SUITE and row["ratio"]]


def _contestants(rows):
    return list(dict.fromkeys(name for row in rows for name in row["ratio"]))


def _pyplot():
    try:
        import matplotlib
    except ImportError:
        harness.missing("matplotlib", "drawing the picture")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def save(path, run, draw):
    """Draw a run's ratios into a PNG file that says which run they are of."""
    pyplot = _pyplot()
    figure = draw(pyplot, run, _rows(run))
    figure.savefig(path, dpi=100, metadata={"Description": _description(run)})
    pyplot.close(figure)


def is_of(path, run):
    """Return whether a file is a picture that `save` made of that run."""
    return path.exists() and _description(run).encode() in path.read_bytes()


def _description(run):
    return f"run {run.path.name}"


def _machine(run):
    machine = run.facts["machine"]
    return f"{machine['cpu']}, {machine['instruction set']}"


def draw_all(pyplot, run, rows):
    """Draw every contestant of every row: how many times the first one's time it takes."""
    height = 1 + 0.2 * sum(len(row["ratio"]) for row in rows)
    figure, panel = pyplot.subplots(figsize=(9, height), layout="constrained")
    _bars(panel, rows)
    figure.suptitle(_machine(run), fontsize="small")
    return figure


def draw_short(pyplot, run, rows):
    """Draw, for the networks that are trained step by step in float32, the peers people know."""
    rows = [row for row in rows if row["dtype"] == "float32" and ":" in row["shape"]]
    rows = {row["name"]: row for row in rows if "," not in row["name"]}
    names = [name for name in PEERS if any(name in row["ratio"] for row in rows.values())]
    figure, panel = pyplot.subplots(figsize=(8, 3.6), layout="constrained")
    width = 0.85 / max(len(names), 1)
    for i, name in enumerate(names):
        ratios = [row["ratio"].get(name, np.nan) for row in rows.values()]
        bars = panel.bar(np.arange(len(rows)) + i * width, ratios, width, label=PEERS[name])
        panel.bar_label(bars, [f"{ratio:.2g}" for ratio in ratios], fontsize="x-small")
    panel.axhline(1, color="black", linewidth=1)
    panel.annotate("fastfc", (1, 1), xycoords=("axes fraction", "data"), fontsize="small")
    panel.set_xticks(
        np.arange(len(rows)) + 0.425 - width / 2,
        [f"{name}\n{row['shape'].partition(': ')[2]}" for name, row in rows.items()],
        fontsize="x-small",
    )
    panel.set_yscale("log")
    panel.set_yticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
    panel.set_ylabel("times fastfc's time")
    panel.set_title(
        f"A training step: batch norm, dropout, Adam; {_machine(run)}", fontsize="small"
    )
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(fontsize="x-small", frameon=False)
    return figure


PICTURES = {SHORT: draw_short, ALL: draw_all}


def draw_prediction(pyplot, run, rows):
    """Draw what the model says of clusters, for a batch that nodes share and for one of each."""
    fitted = scaling.Fitted([row for row in run.rows if row["suite"] == scaling.SUITE])
    figure, panels = pyplot.subplots(
        2, len(prediction.LINKS), figsize=(9, 6.6), layout="constrained", sharex=True, sharey="row"
    )
    for column, link in zip(panels.T, prediction.LINKS, strict=True):
        for panel, weak in zip(column, (False, True), strict=True):
            _gains(panel, fitted, link, weak)
        column[0].set_title(f"between two nodes {prediction.LABELS[link]}", fontsize="small")
        column[1].set_xlabel("nodes")
    panels[0, 0].set_ylabel("one batch, shared: times as fast")
    panels[1, 0].set_ylabel("that batch for each node: speed left")
    panels[0, 0].legend(fontsize="x-small", frameon=False)
    figure.suptitle(
        f"PREDICTION by a model fitted on two ranks; nodes of two cores as of {_machine(run)}",
        fontsize="small",
    )
    return figure


def _gains(panel, fitted, link, weak):
    """Draw a line for each network; without batch norm it is dashed."""
    bases = list(dict.fromkeys(n.removesuffix(scaling.BATCHNORM) for n in fitted.node))
    for name in prediction.names(fitted):
        base = name.removesuffix(scaling.BATCHNORM)
        gains = np.array(prediction.gains(fitted, name, link, weak))
        values = 100 * gains / prediction.NODES if weak else gains
        style = {"color": f"C{bases.index(base)}", "linestyle": "-" if name != base else "--"}
        panel.plot(prediction.NODES, values, label=f"{name}, {prediction.own_batch(name)}", **style)
    panel.set_xscale("log", base=2)
    panel.set_xticks(prediction.NODES, [f"{n:,}" for n in prediction.NODES], fontsize="x-small")
    panel.spines[["top", "right"]].set_visible(False)
    if weak:
        panel.set_ylim(0, 105)
        panel.yaxis.set_major_formatter("{x:.0f}%")
    else:
        panel.set_yscale("log")
        ticks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50]
        panel.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        panel.axhline(1, color="black", linewidth=0.8)


SCALING_PICTURES = {SCALING: draw_prediction}


def draw_curves(path=CURVES):
    """Train one network twice, by the reference and by fastfc, and draw both losses."""
    from fastfc import fc_net, reference, solver
    from fastfc.data import load_digits

    losses = {}
    for name, package in {"fastfc.reference (NumPy)": reference.fc_net, "fastfc": fc_net}.items():
        np.random.seed(0)
        net = package.FullyConnectedNet(
            [100, 100], input_dim=64, dropout=0.8, use_batchnorm=True, dtype=np.float64
        )
        run = solver.Solver(
            net, load_digits(), update_rule="adam", batch_size=50, num_epochs=8, verbose=False
        )
        run.train()
        losses[name] = np.array(run.loss_history)
    pyplot = _pyplot()
    figure, panel = pyplot.subplots(figsize=(8, 2.6), layout="constrained")
    styles = ({"linewidth": 5, "color": "tab:orange", "alpha": 0.5}, {"linewidth": 1, "color": "k"})
    for (name, values), style in zip(losses.items(), styles, strict=True):
        panel.plot(values, label=name, **style)
    theirs, ours = losses.values()
    apart = abs(ours - theirs).max()
    title = f"Loss of each training step, float64: they differ by at most {apart:.0e}"
    panel.set_title(title, fontsize="small")
    panel.set_xlabel("step")
    panel.set_ylabel("loss")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _color(i):
    """Return one of twenty colours: the strong ones first."""
    pair, pale = i % 10, i // 10 % 2
    return (f"C{pair}", 0.4 if pale else 1)


def _bars(panel, rows):
    names = _contestants(rows)
    labels, at = [], 0
    for row in rows:
        labels.append((at, f"{row['name']} {row['shape']} {row['dtype']}, {row['threads']} thr."))
        for name, ratio in row["ratio"].items():
            panel.barh(at, ratio - 1, left=1, color=_color(names.index(name)))
            at += 1
    for i, name in enumerate(names):
        panel.barh(0, 0, left=1, color=_color(i), label=name)
    panel.set_yticks([y for y, _ in labels], [text for _, text in labels], fontsize="x-small")
    panel.set_ylim(at - 0.5, -0.5)
    panel.set_xscale("log")
    panel.axvline(1, color="black", linewidth=0.8)
    ours = next(iter(rows[0]["seconds"]))
    panel.set_title(f"{SUITE}: median time, as a multiple of that of {ours}", fontsize=9)
    panel.legend(fontsize="x-small")
