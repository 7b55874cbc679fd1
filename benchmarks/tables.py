"""The figures of docs/figures.md: tables and sentences, each made of the rows of runs."""

import math
import textwrap

from benchmarks import estimators, gemm, harness, inference, run_file

DTYPE = "float32"  # of the tables; where somebody is ahead of fastfc, every dtype is shown
LABELS = {
    "torch": "PyTorch",
    "torch.compile": "compiled",
    "torch.max": "max-autotune",
    "jax": "JAX",
    "jax.scan": "JAX, scan",
    "sklearn": "scikit-learn",
    "tensorflow": "TensorFlow",
    "tensorflow.while": "TensorFlow, loop",
    "onednn": "oneDNN",
    "numpy": "`numpy.dot`",
    "hist": "boosted trees",
}
NOISY = "~"  # behind a median whose samples are spread widely
# Of the suite ops: one size of every operation that the networks call, of some a larger one too.
OPERATIONS = [
    ("affine_forward", "100x3072 -> 100"),
    ("affine_forward", "256x3072 -> 512"),
    ("affine_backward", "256x3072 -> 512"),
    ("relu_forward", "100x100"),
    ("relu_backward", "100x100"),
    ("batchnorm_forward train", "100x100"),
    ("batchnorm_backward", "100x100"),
    ("batchnorm_forward train", "256x1024"),
    ("batchnorm_backward", "256x1024"),
    ("layernorm_forward", "100x100"),
    ("layernorm_backward", "100x100"),
    ("dropout_forward", "100x100"),
    ("dropout_backward", "100x100"),
    ("softmax_loss", "100x100"),
    ("adam", "3072x100"),
    ("sgd", "100x100"),
]


def text(runs, names, image=None):
    """Return all of it.

    Parameters
    ----------
    runs : list of run_file.Recorded
        A table is of the first one that has its suite.
    names : list of str
        Their files, as the page links to them.
    image : str or None
        The picture's file, likewise.

    Raises
    ------
    RunFileError
        If the run that has the suite ops lacks one of `OPERATIONS`.
    """
    parts = [
        runs_table(runs, names),
        _steps(_first(runs, "step")),
        _operations(_first(runs, "ops")),
        f"![training steps, all contestants]({image})" if image else "",
        *_estimators(_first(runs, "estimators")),
        _ahead(runs),
        *_products(runs),
        paragraph(_training(runs), _second_thread(runs), _memory(runs)),
    ]
    return "\n\n".join(filter(None, parts))


def rows_of(run, suite):
    """Return a run's rows of a suite."""
    return [row for row in run.rows if row["suite"] == suite] if run else []


def _first(runs, suite):
    return next((run for run in runs if rows_of(run, suite)), None)


def table(head, rows):
    """Return a table of cells, which are text."""
    rule = "|---" * len(head) + "|"
    first, *rest = (f"| {' | '.join(line)} |" for line in [head, *rows])
    return "\n".join([first, rule, *rest])


def paragraph(*sentences):
    """Return sentences in lines of a page's width."""
    text = " ".join(filter(None, sentences))
    return textwrap.fill(text, 105, break_on_hyphens=False, break_long_words=False)


# --- numbers, as they are written ----------------------------------------------------------------


def microseconds(seconds):
    """Return seconds as a number of microseconds."""
    value = seconds * 1e6
    return f"{value:,.0f}" if value >= 9.95 else f"{value:.1f}"


def _times(ratio):
    return f"{ratio:.0f}" if ratio >= 9.95 else f"{ratio:.1f}"


def _listed(words):
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _shape(shape):
    return shape.replace("x", "×").replace("->", "→")


def _label(contestant):
    return LABELS.get(contestant, contestant)


def _whom(contestant):
    return f"the {contestant}" if contestant in ("reference", "original") else _label(contestant)


def _cell(row, contestant):
    if contestant not in row["seconds"]:
        return "-"
    median = microseconds(row["seconds"][contestant]["median"])
    median += NOISY * (contestant in harness.noisy(row["seconds"]))
    return f"{median} ({row['ratio'][contestant]:.1f})" if contestant in row["ratio"] else median


def _contestants(rows):
    return list(dict.fromkeys(name for row in rows for name in row["seconds"]))


# --- tables ---------------------------------------------------------------------------------------


def runs_table(runs, names):
    """Say what was measured, where, and with which software."""
    rows = []
    for run, name in zip(runs, names, strict=True):
        machine, version = run.facts["machine"], run.facts["version"]
        suites = dict.fromkeys(row["suite"] for row in run.rows)
        cores = f"{machine.get('cpu')}, {machine.get('cores')} cores, "
        cores += f"{machine.get('instruction set')}, {machine.get('threads')} threads"
        cores += f"; {machine['caches']}" if machine.get("caches") else ""
        cores += "; two processors of one core" if harness.share_a_core(run.peak) else ""
        link = f"[{run.path.stem}]({name})"
        rows.append([link, ", ".join(suites), cores, version.get("blas", "")])
    versions = {}
    for run in runs:
        for name, number in run.facts["version"].items():
            versions.setdefault(name, {})[number] = None
    versions.pop("blas", None)
    software = ", ".join(f"{name} {' / '.join(numbers)}" for name, numbers in versions.items())
    head = ["run", "suites", "machine", "BLAS of NumPy"]
    return f"{table(head, rows)}\n\n{paragraph(f'Versions: {software}.')}"


def _steps(run):
    rows = [row for row in _trained(run, ", scoring") if row["dtype"] == DTYPE]
    if not rows:
        return ""
    ours, *others = _contestants(rows)
    lines = [
        [
            f"{row['name']} {row['shape']}",
            f"**{_cell(row, ours)}**",
            *(_cell(row, name) for name in others),
            f"{row['share'][ours]:.0%}" if row["share"] else "-",
        ]
        for row in rows
    ]
    about = "training step: forward, backward, Adam; batch norm, dropout"
    return marked(table([about, ours, *map(_label, others), "share of peak"], lines))


def _trained(run, *without):
    """Return the rows of the suite step that are about a training step, but those that end so."""
    return [row for row in rows_of(run, "step") if not row["name"].endswith(without)]


def _operations(run):
    measured = {
        (row["name"], row["shape"]): row for row in rows_of(run, "ops") if row["dtype"] == DTYPE
    }
    if not measured:
        return ""
    for name, shape in OPERATIONS:
        if (name, shape) not in measured:
            raise run_file.RunFileError(
                f"{run.path}: no row ops, {name}, {shape}, {DTYPE}, which the page shows"
            )
    rows = [measured[key] for key in OPERATIONS]
    names = _contestants(rows)
    lines = [
        [f"`{row['name']}` {_shape(row['shape'])}", *(_cell(row, name) for name in names)]
        for row in rows
    ]
    return marked(table(["operation", *map(_label, names)], lines))


def _estimators(run):
    """Show the times of estimators, then their scores."""
    rows = rows_of(run, "estimators")
    timed = [row for row in rows if not row["name"].startswith(estimators.SCORES)]
    if timed:
        names = _contestants(timed)
        lines = [
            [
                f"{row['name']} {row['shape']}",
                str(row["threads"]),
                *(_cell(row, name) for name in names),
            ]
            for row in timed
        ]
        head = ["estimators: what, data, examples: inputs to outputs", "threads"]
        yield marked(table([*head, *map(_label, names)], lines))
    scored = [row for row in rows if row not in timed]
    if scored:
        names = _contestants(scored)
        lines = [
            [row["name"].removeprefix(estimators.SCORES), *(_score(row, name) for name in names)]
            for row in scored
        ]
        head = "accuracy or R² on a third of the rows, five seeds, ± standard error"
        yield table([head, *map(_label, names)], lines)


def _score(row, contestant):
    values = {r.quantity: r.value for r in row["readings"] if r.contestant == contestant}
    return f"{values[estimators.SCORE]:.3f} ± {values[estimators.ERROR]:.3f}"


def marked(text):
    """Return a table, and what its marks mean if it has any."""
    spread = f"{NOISY}: the quartiles lie more than {harness.NOISY:.0%} of the median apart."
    return f"{text}\n\n{spread}" if NOISY in text else text


def _ahead(runs):
    """Show every row in which somebody is faster than fastfc."""
    lines = [
        [
            _label(other),
            f"{row['suite']}: {row['name']} {_shape(row['shape'])}, {row['dtype']}, "
            f"{row['threads']} thread{'s' * (row['threads'] > 1)}",
            microseconds(row["seconds"]["fastfc"]["median"]),
            f"{microseconds(row['seconds'][other]['median'])} ({ratio:.3f})",
            run.path.stem,
        ]
        for run in runs
        for row in run.rows
        if next(iter(row["seconds"])) == "fastfc"
        for other, ratio in row["ratio"].items()
        if ratio < 1 and other not in (*inference.OURS, *estimators.OURS)
    ]
    if not lines:
        return "In no row of these runs is anybody faster than fastfc."
    head = ["faster than fastfc", "row", "fastfc", "the faster one", "run"]
    return f"All rows of these runs in which fastfc is not the fastest:\n\n{table(head, lines)}"


# --- sentences ------------------------------------------------------------------------------------


def _products(runs):
    """Sum up each run's products, and of all runs but the table's the steps too."""
    shown = _first(runs, "step")
    for run in runs:
        sentences = [*_product(run), *(_other_steps(run) if run is not shown else ())]
        if sentences:
            blas = run.facts["version"].get("blas") or "a BLAS that it does not name"
            yield paragraph(f"In {run.path.stem} NumPy has {blas}.", *sentences)


def _product(run):
    rows = [row for row in rows_of(run, "gemm") if "numpy" in row["ratio"]]
    ratios = [row["ratio"]["numpy"] for row in rows if not row["name"].endswith(gemm.OF_ZEROS)]
    if ratios:
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        yield (
            f"By itself the matrix product is between {min(ratios):.2f} and {max(ratios):.2f} "
            f"times as fast as `numpy.dot`, {mean:.2f} in the geometric mean of {len(ratios)} rows."
        )


def _other_steps(run):
    rows = [row for row in _trained(run, ", scoring", ", many") if row["dtype"] == DTYPE]
    others = [name for name in _contestants(rows) if all(name in row["ratio"] for row in rows)]
    if others:
        ratios = []
        for name in others:
            of_each = _listed([_times(row["ratio"][name]) for row in rows])
            ratios.append(f"{of_each} times as fast as {_whom(name)}")
        names = _listed([row["name"] for row in rows])
        yield f"The training steps ({names}) are {', and '.join(ratios)}."


def _training(runs):
    """Tell how long the original's final experiment takes; ratios are those of a median epoch."""
    for row in rows_of(_first(runs, "solver"), "solver"):
        totals = [r for r in row.get("readings", ()) if r.quantity == "total time"]
        if len(totals) > 1:
            ours, *others = totals
            faster = (
                f"{_times(row['ratio'][r.contestant])} times as fast as {_whom(r.contestant)}"
                for r in others
            )
            seconds = _listed([f"{r.value:.1f}" for r in totals])
            images = row["name"].rpartition(", ")[2]
            return (
                f"Under the Solver the network of the example above trains "
                f"{_listed(list(faster))}: {ours.steps:,} steps on {images} images in {seconds} "
                f"seconds."
            )
    return ""


def _second_thread(runs):
    gains = [
        f"`{row['name']}` {_times(row['ratio']['1 thread'])}"
        for row in rows_of(_first(runs, "threads"), "threads")
        if "1 thread" in row["ratio"]
    ]
    return (
        f"A second thread makes a step this many times as fast: {_listed(gains)}." if gains else ""
    )


def _memory(runs):
    for row in rows_of(_first(runs, "memory"), "memory"):
        readings = [r for r in row.get("readings", ()) if r.quantity == "resident memory"]
        if len(readings) > 1:
            first, last = readings[0], readings[-1]
            return (
                f"Resident memory changed by {(last.value - first.value) / 1e6:.2f} MB from step "
                f"{first.steps:,} to step {last.steps:,}."
            )
    return ""
