"""What the run came to, how it was configured, and where."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np

from ..runtime.config import show_config
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
    parts = []
    for name, caption in (("machine", "The run's machine"), ("versions", "The run's versions")):
        noted = run.summary.get(name)
        if isinstance(noted, Mapping):
            parts.append(facts(caption, dict(flattened(noted))))
    parts += [
        facts("The machine that wrote this report", machine()),
        facts("Its versions", versions()),
    ]
    return Section("machine", "Machine and versions", element("div", *parts, class_="side"))


def machine() -> dict[str, str]:
    """Return what this machine is."""
    config = show_config(mode="dicts")
    caches = [f"{name} {size >> 10:,} KB" for name, size in config["caches"].items() if size]
    return {
        "Processor": _processor(),
        "Cores": f"{_cores()}",
        "Caches of a core": ", ".join(caches) or "not known",
        "Instruction set": config["isa"]["in use"],
        "Threads of fastfc": str(config["threads"]),
        "System": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Return which software is used."""
    config = show_config(mode="dicts")
    return {
        "fastfc": config["version"],
        "compiled by": config["compiler"],
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "matplotlib": matplotlib.__version__,
    }


def _cores() -> int:
    """Return how many cores the process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    """Return the processor's name, as far as the system tells."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = (line.split(":", 1)[1].strip() for line in file if "model name" in line)
            if name := next(names, None):
                return name
    except OSError:
        pass
    return platform.processor() or platform.machine()
