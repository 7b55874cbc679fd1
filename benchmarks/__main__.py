"""Measure, print tables, write them down, draw them: `python -m benchmarks [suite ...]`."""

import argparse

from benchmarks import (
    denormals,
    gemm,
    harness,
    memory,
    ops,
    peak,
    peers,
    report,
    solver,
    step,
    threads,
)

SUITES = {
    "gemm": gemm,
    "ops": ops,
    "step": step,
    "solver": solver,
    "threads": threads,
    "memory": memory,
    "denormals": denormals,
}


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "suites", nargs="*", metavar="suite", help=f"of {', '.join(SUITES)}; all by default"
    )
    parser.add_argument(
        "--peers",
        default="numpy",
        metavar="NAMES",
        help=f"whom to compare with, of {','.join(peers.NAMES)}; numpy by default",
    )
    parser.add_argument("--json", metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--plot", metavar="FILE", help="draw all ratios into FILE")
    parser.add_argument(
        "--iterations",
        type=int,
        metavar="N",
        help="steps of the suites solver, memory and denormals",
    )
    parser.add_argument(
        "--quick", action="store_true", help="single calls: shows that it runs, measures nothing"
    )
    options = parser.parse_args(argv)
    chosen = tuple(filter(None, options.peers.split(",")))
    for names, known, what in ((options.suites, SUITES, "suite"), (chosen, peers.NAMES, "peer")):
        unknown = sorted(set(names) - set(known))
        if unknown:
            parser.error(f"no {what} {unknown[0]!r}, expected one of {', '.join(known)}")
    if options.iterations is not None and options.iterations < 1:
        parser.error(f"--iterations is {options.iterations}, expected at least 1")
    for name in chosen:
        peers.load(name)  # a missing one ends the run before anything is measured

    about = report.machine()
    report.print_machine(about)
    run = harness.Run(options.quick, chosen, peak.measure(options.quick), options.iterations)
    report.print_peak(run.peak)
    rows = []
    for name in options.suites or SUITES:
        columns = SUITES[name].contestants(run)
        report.print_head(name, columns)
        for row in SUITES[name].rows(run):
            report.print_row(row, columns)
            rows.append(row)
    if options.json:
        report.write(options.json, about, run.peak, rows)
    if options.plot:
        report.plot(options.plot, about, rows)


if __name__ == "__main__":
    main()
