"""The figures of docs/scaling.md, made of the first run that has the suite scaling."""

import statistics

from benchmarks import harness, prediction, scaling, tables

SHOWN_NODES = (2, 16, 128, 1024)
WORTH = 0.5  # of a node's rows a second, below which a node is not worth having


def shown(runs):
    """Return the first run with the suite; None if none has it."""
    return next((run for run in runs if tables.rows_of(run, scaling.SUITE)), None)


def text(runs, names, image=None):
    """Return all of it; ``names`` are the runs' files as the page links to them, ``image`` too."""
    run = shown(runs)
    if run is None:
        return "No run is recorded yet."
    fitted = scaling.Fitted(tables.rows_of(run, scaling.SUITE))
    parts = [
        tables.runs_table(runs, names),
        "## Two ranks, two threads, one: the same batch",
        _strong(fitted),
        "## As many rows for each rank",
        _weak(fitted),
        "## What is sent",
        _sent(fitted),
        _beside(fitted.beside),
        "## The model",
        _constants(fitted),
        _residuals(fitted),
        "## A prediction for a cluster",
        _cluster(),
        f"![prediction of speed on 1 to 1,024 nodes]({image})" if image else "",
        _predicted(fitted),
        "## Where it stops paying",
        _stops(fitted),
    ]
    return "\n\n".join(filter(None, parts))


def _seconds(row, who):
    return row["seconds"][who]["median"]


def _about(key):
    name, batch = key
    return f"{name}, {batch}"


def _cell(row, who):
    noisy = who in harness.noisy(row["seconds"])
    return tables.microseconds(_seconds(row, who)) + tables.NOISY * noisy


def _gain(row, who):
    return f"{_cell(row, who)} ({_seconds(row, scaling.ONE) / _seconds(row, who):.2f})"


def _strong(fitted):
    lines = [
        [
            _about(key),
            _cell(row, scaling.ONE),
            _gain(row, scaling.TWO),
            _gain(row, scaling.RANKS),
            tables.microseconds(fitted.predicted(key)),
            f"{fitted.predicted(key) / fitted.measured(key) - 1:+.0%}",
        ]
        for key, row in fitted.rows.items()
    ]
    head = ["step: network, rows of the batch", "1 thread", "2 threads", "2 ranks"]
    about = "Microseconds, and in brackets how many times as fast as one thread."
    made = tables.table([*head, "model of 2 ranks", "off by"], lines)
    return f"{tables.marked(made)}\n\n{about}"


def _weak(fitted):
    lines = []
    for (name, batch), row in fitted.rows.items():
        double = fitted.rows.get((name, 2 * batch))
        if double:
            one = _seconds(row, scaling.ONE)
            cells = [
                f"{_cell(double, who)} ({one / _seconds(double, who):.0%})"
                for who in (scaling.TWO, scaling.RANKS)
            ]
            lines.append([_about((name, batch)), _cell(row, scaling.ONE), *cells])
    head = ["step: network, rows for each", "1 thread", "2 threads, twice the rows"]
    about = "In brackets what remains of the speed of each thread or rank: 100% would be all."
    return f"{tables.marked(tables.table([*head, '2 ranks, twice the rows'], lines))}\n\n{about}"


def _sent(fitted):
    lines = []
    for name in prediction.names(fitted):
        key = name, prediction.own_batch(name)
        row, step = fitted.rows[key], fitted.steps[key]
        kinds = scaling.kinds_of(row)
        within = sum(seconds for *_, seconds in kinds.values())
        lines.append(
            [
                _about(key),
                f"{step.gradient:,}",
                f"{sum(nbytes for _, nbytes, _ in kinds.values()):,.0f}",
                f"{sum(count for count, *_ in kinds.values()):.0f}",
                tables.microseconds(within),
                f"{within / scaling.counted_step(row):.0%}",
            ]
        )
    head = ["step of two ranks", "bytes of gradient", "bytes that a rank gives", "messages"]
    return tables.table([*head, "time within them", "of the step"], lines)


def _beside(row):
    """Say what a message gains that is begun before the computing ends."""
    nbytes = int(row["shape"].split()[0])
    shares = [scaling.hidden(row, k) for k in (scaling.BOTH, scaling.POLLED)]
    message, product = (_time(_seconds(row, k)) for k in (scaling.MESSAGE, scaling.COMPUTING))
    return tables.paragraph(
        f"Between two ranks here a sum of {_size(nbytes)} takes {message} by itself. Begun before",
        f"a matrix product of {product}, {shares[0]:.0%} of the shorter of the two is hidden",
        f"behind the other; with a thread that polls the message meanwhile {shares[1]:.0%}.",
    )


def _constants(fitted):
    """Show what the model has been fitted to."""
    lines = []
    for kind, link in fitted.costs.links.items():
        at = f"{link.latency * 1e6:.1f} µs, {link.bandwidth / 1e9:.2f} GB/s"
        lines.append([f"a message between two ranks here: {kind}", at])
    for what, seconds in (
        ("drawing a row of another rank", fitted.costs.draw),
        ("stepping over a draw of a mask", fitted.costs.skip),
        ("merging a feature's statistics, for each rank", fitted.costs.merge),
    ):
        lines.append([what, f"{seconds * 1e9:.2f} ns"])
    each, byte, norm, share = fitted.costs.overhead
    lines.append(["overhead: of a step", f"{each * 1e6:.0f} µs"])
    lines.append(["of a megabyte of gradient", f"{byte * 1e12:.0f} µs"])
    lines.append(["of a synchronised batch norm", f"{norm * 1e6:.0f} µs"])
    lines.append(["of a second of computing", f"{share:.2f} s"])
    for name in fitted.node:
        own = next(step.compute for (of, _), step in fitted.steps.items() if of == name)
        lines.append([f"computing, {name}: 1 thread", _line(own)])
        lines.append(["2 threads", _line(fitted.node[name])])
    return tables.table(["constant", "fitted"], lines)


def _line(compute):
    return f"{compute.step * 1e6:.0f} µs + {compute.row * 1e6:.2f} µs a row"


def _residuals(fitted):
    errors = [abs(fitted.predicted(key) / fitted.measured(key) - 1) for key in fitted.rows]
    return tables.paragraph(
        f"Of the {len(errors)} steps of two ranks above, to which its overhead has been fitted, "
        f"the model is off by {statistics.median(errors):.0%} in the median and by "
        f"{max(errors):.0%} at worst."
    )


def _cluster():
    nodes = f"{prediction.NODES[-1]:,}"
    links = " or ".join(prediction.LABELS.values())
    return tables.paragraph(
        "**What follows is a prediction: nobody has run it.**",
        f"The cluster is one of 2 to {nodes} nodes, each of two cores as fast as these, a rank on",
        f"each with two threads; a message between two nodes takes {links}, and all nodes may send",
        "at once. Overhead is taken as it is between two ranks here, overlap as none. Nodes of",
        "more cores compute faster and send no faster: for them it stops paying sooner.",
    )


def _predicted(fitted):
    lines = []
    for name in prediction.names(fitted):
        for link in prediction.LINKS:
            best, gain = _best(fitted, name, link)
            weak = dict(
                zip(prediction.NODES, prediction.gains(fitted, name, link, weak=True), strict=True)
            )
            lines.append(
                [
                    _about((name, prediction.own_batch(name))),
                    link,
                    f"{best:,} ({gain:.1f})" if best > 1 else "1",
                    *(f"{weak[nodes] / nodes:.0%}" for nodes in SHOWN_NODES),
                ]
            )
    head = ["predicted: network, rows", "link", "one batch shared: best nodes (times as fast)"]
    heads = [f"{nodes:,}" for nodes in SHOWN_NODES]
    heads[0] += " nodes with that batch each: speed of a node that remains"
    return tables.table([*head, *heads], lines)


def _best(fitted, name, link):
    gains = prediction.gains(fitted, name, link)
    gain = max(gains)
    return prediction.NODES[gains.index(gain)], gain


def _stops(fitted):
    """Say it plainly: of two ranks here as measured, of a cluster as predicted."""
    stops = (_stop(fitted, name) for name in prediction.names(fitted))
    return "\n\n".join([*stops, _others(fitted)])


def _others(fitted):
    """Say what a rank does for all others, where it is most."""
    nodes = prediction.NODES[-1]
    sentences = []
    for name in prediction.names(fitted):
        step = prediction.shared(fitted, name, nodes)
        parts = fitted.costs.parts(step, nodes)
        merging = parts["statistics"]
        sentences.append(
            f"of `{name}` {_time(parts['draws of masks'])} for masks"
            + (f" and {_time(merging)} for statistics" if merging else "")
        )
    return tables.paragraph(
        f"With that batch for each of {nodes:,} nodes, what a rank computes for all the others is:",
        f"{'; '.join(sentences)}.",
        "`rng='philox'` has nothing of the first, `sync_batchnorm=False` nothing of the second.",
    )


def _stop(fitted, name):
    key = name, prediction.own_batch(name)
    row, step = fitted.rows[key], fitted.steps[key]
    one, two, ranks = (_seconds(row, who) for who in (scaling.ONE, scaling.TWO, scaling.RANKS))
    best = min((one, "one thread"), (two, "two threads"), (ranks, "two ranks"))
    return tables.paragraph(
        f"`{name}`, {key[1]} rows: {_size(step.gradient)} of gradient for {_time(one)} of work of "
        f"one thread.",
        f"Here two threads take {_time(two)}, two ranks {_time(ranks)}: {best[1]} "
        f"{'are' if best[1] != 'one thread' else 'is'} fastest.",
        *(_predicted_stop(fitted, name, link) for link in prediction.LINKS),
    )


def _predicted_stop(fitted, name, link):
    best, gain = _best(fitted, name, link)
    weak = prediction.gains(fitted, name, link, weak=True)
    worth = [n for n, g in zip(prediction.NODES, weak, strict=True) if g >= WORTH * n]
    shared = (
        f"sharing one batch pays up to {best:,} nodes, {gain:.1f} times as fast"
        if best > 1
        else "sharing one batch never pays"
    )
    own = (
        f"with that batch for each node, half of a node's speed or more remains up to "
        f"{worth[-1]:,} nodes"
        if worth[1:]
        else "with that batch for each node, two nodes have less than half of their speed each"
    )
    return f"Predicted at {link}: {shared}; {own}."


def _size(nbytes):
    return f"{nbytes / 1e6:.1f} MB" if nbytes >= 1e5 else f"{nbytes / 1e3:.0f} kB"


def _time(seconds):
    return f"{seconds * 1e3:.1f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} µs"
