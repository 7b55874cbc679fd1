"""Measure, print tables, and write them down: `python -m benchmarks [ops|step] [--json FILE]`."""

import argparse

from benchmarks import harness, ops, step

SUITES = {"ops": ops, "step": step}


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="suite", help=f"of {', '.join(SUITES)}")
    parser.add_argument("--json", metavar="FILE", help="write all figures to FILE")
    parser.add_argument(
        "--quick", action="store_true", help="single calls: shows that it runs, measures nothing"
    )
    options = parser.parse_args(argv)
    unknown = sorted(set(options.suites) - set(SUITES))
    if unknown:
        parser.error(f"no suite {unknown[0]!r}, expected one of {', '.join(SUITES)}")

    about = harness.machine()
    harness.print_machine(about)
    rows = []
    for name in options.suites or SUITES:
        contestants = list(SUITES[name].CONTESTANTS)
        harness.print_head(name, contestants)
        for row in SUITES[name].rows(options.quick):
            harness.print_row(row)
            rows.append(row)
    if options.json:
        harness.write(options.json, about, rows)


if __name__ == "__main__":
    main()
