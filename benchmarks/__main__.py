"""Measure, print tables, append each row to the run's file: `python -m benchmarks [suite ...]`.

`python -m benchmarks render [RUN ...]` writes the figures of docs/figures.md and the pictures from
such files; `python -m benchmarks profile [NETWORK ...]` says where the time of a step goes;
`python -m benchmarks curves` trains by the reference and by fastfc and draws both losses.
"""

import argparse
import contextlib
import sys

from benchmarks import (
    denormals,
    estimators,
    gemm,
    harness,
    inference,
    machine,
    memory,
    ops,
    peak,
    peers,
    picture,
    profile,
    render,
    report,
    run_file,
    scaling,
    solver,
    step,
    threads,
)
from tests.support import cases

SUITES = {
    "gemm": gemm,
    "ops": ops,
    "step": step,
    "inference": inference,
    "solver": solver,
    "threads": threads,
    "memory": memory,
    "denormals": denormals,
    "estimators": estimators,
    "scaling": scaling,
}


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["render"]:
        return render.main(argv[1:])
    if argv[:1] == ["profile"]:
        return profile.main(argv[1:])
    if argv[:1] == ["curves"]:
        return picture.draw_curves()
    return measure(argv)


def measure(argv):
    """Run suites."""
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
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder in which the run gets a file of its own, <date>_<cpu>_<n>.csv; "
        "benchmarks/results of this checkout by default, with --quick none",
    )
    parser.add_argument(
        "--iterations",
        type=int,
        metavar="N",
        help="steps of the suites solver, memory and denormals",
    )
    parser.add_argument(
        "--networks",
        default="",
        metavar="NAMES",
        help=f"those of the suite step, of {','.join(cases.NETWORKS)}; all by default",
    )
    parser.add_argument(
        "--quick", action="store_true", help="single calls: shows that it runs, measures nothing"
    )
    options = parser.parse_args(argv)
    chosen = tuple(filter(None, options.peers.split(",")))
    networks = tuple(filter(None, options.networks.split(",")))
    for names, known, what in (
        (options.suites, SUITES, "suite"),
        (chosen, peers.NAMES, "peer"),
        (networks, cases.NETWORKS, "network"),
    ):
        unknown = sorted(set(names) - set(known))
        if unknown:
            parser.error(f"no {what} {unknown[0]!r}, expected one of {', '.join(known)}")
    if options.iterations is not None and options.iterations < 1:
        parser.error(f"--iterations is {options.iterations}, expected at least 1")
    for name in chosen:
        peers.load(name)  # a missing one ends the run before anything is measured

    facts = machine.facts(options.quick)
    report.print_machine(facts)
    run = harness.Run(
        options.quick, chosen, peak.measure(options.quick), options.iterations, networks
    )
    report.print_peak(run.peak)
    with contextlib.ExitStack() as stack:
        file = None
        if options.out or not options.quick:
            try:
                file = run_file.RunFile(options.out or run_file.RESULTS, facts, run.peak)
            except run_file.RunFileError as error:
                sys.exit(f"benchmarks: {error}")
            stack.enter_context(file)
            print(f"each row is appended to {file.path}")
        for name in dict.fromkeys(options.suites or SUITES):  # once each
            columns = SUITES[name].contestants(run)
            report.print_head(name, columns)
            for row in SUITES[name].rows(run):
                report.print_row(row, columns)
                if file:
                    file.append(row)


if __name__ == "__main__":
    main()
