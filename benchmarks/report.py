"""What a run prints: the machine, its limits, a table for each suite."""

from benchmarks import harness


def print_machine(facts):
    """Print the head of the tables."""
    machine = facts["machine"]
    print(f"{machine['cpu']}, {machine['cores']} cores; {machine['instruction set']}")
    print(f"caches: {machine['caches'] or 'not known'}")
    print(", ".join(f"{name} {version}" for name, version in facts["version"].items()))
    print(f"threads: fastfc {machine['threads']}, environment {machine['environment'] or 'unset'}")


def print_peak(peak):
    """Print the limits that shares are of."""
    for unit, dtypes in peak.items():
        for dtype, counts in dtypes.items():
            text = ", ".join(f"{value:.1f} on {count}" for count, value in counts.items())
            print(f"peak {unit:<8}{dtype:<9}{text} thread(s)", flush=True)
    if harness.share_a_core(peak):
        print("the two processors share a core, or somebody else is at work", flush=True)


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
    """Return what a row says beside its figures, and which of them stayed noisy."""
    names = harness.noisy(row["seconds"])
    parts = [row.get("note"), f"noisy: {', '.join(names)}" if names else None]
    return "".join(f"  {part}" for part in parts if part)
