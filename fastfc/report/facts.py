"""What the run came to, how it was configured, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np

from ..runtime.machine import machine, versions
from .html import Section, element
from .training import score_word
from .words import counted, duration, number, percent

if TYPE_CHECKING:
    from .html import Html
    from .run import Run

LONGEST = 200  # characters of a setting's value
ENDED = {
    "finished": "all epochs are done",
    "early_stopping": "validation got no better: early stopping",
    "max_steps": "as many steps as were allowed",
    "max_seconds": "as much time as was allowed",
    "nonfinite": "something was not finite",
    "terminated": "the process was asked to end",
    "interrupt": "Ctrl-C",
    "error": "an error",
}


def facts(caption: str, found: Mapping[str, Any]) -> Html:
    """Return a table of names and values; what is None is left out."""
    rows = [(name, value) for name, value in found.items() if value is not None]
    made = [
        element("tr", element("th", name, scope="row"), element("td", value))
        for name, value in rows
    ]
    return element(
        "table",
        element("caption", element("span", caption)),
        element("tbody", *made),
        class_="facts",
    )


def lead(run: Run) -> Html:
    """Return what stands below the heading."""
    found = results(run)
    best = found.get("Best on validation data")
    words = (
        f"{network_name(run)}, trained on {counted(int(run.data['X_train'].shape[0]), 'example')}"
    )
    if best is not None:
        words += f": {score_word(run)} on validation data {best}"
    return element("p", f"{words}.")


def network_name(run: Run) -> str:
    """Return what kind of network it is, without brackets."""
    return repr(run.network).strip("<>")


def result_section(run: Run) -> Section:
    """Return the section of what came of it."""
    trouble = run.summary.get("nonfinite")
    losses = run.history["loss"]
    if trouble is None and len(losses) and not np.isfinite(losses[-1]):
        trouble = "The loss is not finite in the last step."
    warning = None
    if trouble is not None:
        words = f"The training did not succeed: {str(trouble).rstrip('.')}."
        words += " A smaller learning rate or scaled data may help."
        warning = element("p", words, class_="warning")
    return Section("result", "Result", warning, facts("The run", results(run)))


def results(run: Run) -> dict[str, Any]:
    """Return what the run came to, by name, in words."""
    summary, history = run.summary, run.history
    show = number if run.kind == "numbers" else percent
    accuracy = summary.get("accuracy")
    accuracy = accuracy if isinstance(accuracy, Mapping) else {}
    scored = history["val_acc"][~np.isnan(history["val_acc"])]
    best = _number(scored.max() if len(scored) else accuracy.get("val"))
    test = _number(accuracy.get("test"))
    counts = {
        split: int(run.data[f"X_{split}"].shape[0])
        for split in ("train", "val", "test")
        if f"X_{split}" in run.data
    }
    words = {"train": "training", "val": "validation", "test": "test"}
    seconds, reason = _number(summary.get("seconds")), summary.get("stop_reason")
    known = history["seconds"][np.isfinite(history["seconds"])]
    if seconds is None and len(known):
        seconds = float(known[-1])
    epochs = (
        int(history["epoch"][-1])
        if np.isfinite(history["epoch"][-1:]).all() and len(history["epoch"])
        else 0
    )
    return {
        "Network": network_name(run),
        "Parameters": f"{sum(np.size(w) for w in run.network.params.values()):,}",
        "Examples": ", ".join(f"{count:,} {words[split]}" for split, count in counts.items()),
        "Scored by": score_word(run),
        "Best on validation data": None if best is None else show(best),
        "On test data": None if test is None else show(test),
        "Steps": f"{len(history['loss']):,}, {counted(epochs, 'epoch')}",
        "Time": None if seconds is None else duration(seconds),
        "Ended by": None if reason is None else ENDED.get(str(reason), str(reason)),
    }


def _number(value: Any) -> float | None:
    """Return a number as float, None for anything else."""
    one = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return float(value) if one else None


def config_section(run: Run) -> Section:
    """Return the section of the configuration."""
    settings = dict(flattened(run.config))
    if not settings:
        return Section("configuration", "Configuration", element("p", "None was given."))
    return Section("configuration", "Configuration", facts("As it was resolved", settings))


def flattened(config: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Return the settings of nested tables by their dotted names, as text of bounded length.

    Examples
    --------
    >>> flattened({"data": {"source": "digits"}, "seed": 0})
    [('data.source', 'digits'), ('seed', '0')]
    """
    found = []
    for name, value in config.items():
        dotted = f"{before}{name}"
        if isinstance(value, Mapping):
            found += flattened(value, f"{dotted}.")
            continue
        text = "not set" if value is None else str(value)
        found.append((dotted, text if len(text) <= LONGEST else f"{text[:LONGEST]}..."))
    return found


def machine_section(run: Run) -> Section:
    """Return the section of machine and versions."""
    here = {"machine": machine(), "versions": {**versions(), "matplotlib": matplotlib.__version__}}
    parts = []
    for name, found in here.items():
        noted = run.summary.get(name)
        if isinstance(noted, Mapping):
            parts.append(facts(f"The run's {name}", dict(flattened(noted))))
        if not isinstance(noted, Mapping) or not found.items() >= noted.items():
            parts.append(facts(f"The {name} by which this report was written", found))
    return Section("machine", "Machine and versions", element("div", *parts, class_="side"))
