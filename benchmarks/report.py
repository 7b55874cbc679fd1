"""What is printed and written: the machine, tables, JSON, a picture."""

import importlib.metadata
import json
import os
import platform
import sys

import numpy as np

import fastfc
from benchmarks import harness

OTHERS = ("torch", "jax", "scikit-learn", "threadpoolctl")


def machine():
    """Describe what the figures were measured on: CPU, instruction set, threads, versions."""
    config = fastfc.show_config(mode="dicts")
    threads = {k: v for k, v in os.environ.items() if k.endswith("_NUM_THREADS")}
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "instruction set": config["isa"]["in use"],
        "threads": {"fastfc": config["threads"], "environment": threads},
        "versions": {
            "fastfc": config["version"],
            "compiler": config["compiler"],
            "python": platform.python_version(),
            "numpy": np.__version__,
            "blas": _blas(),
            **_installed(),
        },
    }


def _blas():
    """Name NumPy's BLAS and, where threadpoolctl can tell, the CPU whose kernels it has chosen."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    name = f"{blas.get('name')} {blas.get('version')}"
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return name
    kernels = {pool.get("architecture") for pool in threadpool_info()} - {None}
    return f"{name} with kernels for {', '.join(sorted(kernels))}" if kernels else name


def _installed():
    versions = {}
    for name in OTHERS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _cpu():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def print_machine(about):
    """Print the head of the tables."""
    threads = about["threads"]
    print(f"{about['cpu']}, {about['cores']} cores; {about['instruction set']}")
    print(", ".join(f"{name} {version}" for name, version in about["versions"].items()))
    print(f"threads: fastfc {threads['fastfc']}, environment {threads['environment'] or 'unset'}")


def print_peak(peak):
    """Print the limits that shares are of."""
    for unit, dtypes in peak.items():
        for dtype, counts in dtypes.items():
            text = ", ".join(f"{value:.1f} on {count}" for count, value in counts.items())
            print(f"peak {unit:<8}{dtype:<9}{text} thread(s)", flush=True)


def print_head(title, names):
    """Print the head of one table. Times are microseconds a call, then spread and minimum."""
    columns = "".join(f"{name + ' us':>17}{'spread':>8}{'min':>12}" for name in names)
    ratios = "".join(f"{'x ' + name:>16}" for name in names[1:])
    about = f"\n{title:<27}{'shape':<26}{'dtype':<9}{'threads':>7}"
    print(f"{about}{columns}{ratios}{'rate':>15}{'of peak':>9}", flush=True)


def print_row(row, names):
    """Print one row, as soon as it is measured; a dash for a contestant that has no such row."""
    columns = ratios = ""
    for name in names:
        t = row["seconds"].get(name)
        columns += (
            f"{t['median'] * 1e6:>17.2f}{t['spread']:>8.0%}{t['min'] * 1e6:>12.2f}"
            if t
            else f"{'-':>17}{'-':>8}{'-':>12}"
        )
    for name in names[1:]:
        ratios += f"{row['ratio'][name]:>16.2f}" if name in row["ratio"] else f"{'-':>16}"
    ((unit, rates),) = row["rate"].items()
    rate = f"{next(iter(rates.values())):.1f} {unit}"
    share = f"{next(iter(row['share'].values())):.0%}" if row["share"] else "-"
    about = f"{row['name']:<27}{row['shape']:<26}{row['dtype']:<9}{row['threads']:>7}"
    print(f"{about}{columns}{ratios}{rate:>15}{share:>9}{note(row)}", flush=True)


def note(row):
    """Return what a row says beside its figures."""
    return f"  {row['note']}" if "note" in row else ""


def write(path, about, peak, rows):
    """Write all of it as JSON."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"machine": about, "peak": peak, "rows": rows}, file, indent=1)
        file.write("\n")


def plot(path, about, rows):
    """Draw how many times fastfc's time each of the others takes, a panel for each suite."""
    try:
        import matplotlib
    except ImportError:
        harness.missing("matplotlib", "--plot")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    suites = {}
    for row in rows:
        if row["ratio"]:
            suites.setdefault(row["suite"], []).append(row)
    if not suites:
        sys.exit("benchmarks: --plot has nobody to compare with: --peers numpy")
    heights = [1 + 0.2 * sum(len(row["ratio"]) for row in found) for found in suites.values()]
    figure, panels = pyplot.subplots(
        len(suites),
        figsize=(9, sum(heights)),
        squeeze=False,
        layout="constrained",
        gridspec_kw={"height_ratios": heights},
    )
    for panel, (suite, found) in zip(panels[:, 0], suites.items(), strict=True):
        _panel(panel, suite, found)
    figure.suptitle(f"{about['cpu']}, {about['instruction set']}", fontsize="small")
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _panel(panel, suite, rows):
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
    panel.invert_yaxis()
    panel.set_xscale("log")
    panel.axvline(1, color="black", linewidth=0.8)
    panel.set_title(
        f"{suite}: median time, as a multiple of that of {next(iter(rows[0]['seconds']))}",
        fontsize=9,
    )
    panel.legend(fontsize="x-small")
