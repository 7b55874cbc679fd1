"""Coverage-guided fuzzing of everything that reads files: ``make fuzz``, or python -m tests.fuzz.

Each reader is a process of its own, in which atheris watches which lines of fastfc, and of the
parts of Python that take files apart, an input reaches; what reaches new ones is changed further.
What breaks a promise of `tests.support.readers` ends the process and is left in
``build/fuzz/READER/``: mend what it shows, and keep it in ``tests/fuzz/corpus/READER/``, where a
test replays it.
"""

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).with_name("corpus")

# Of a hundred executions, those that each reader gets: all take about as long.
SHARES = {"archive": 20, "data": 19, "model": 10, "checkpoint": 4, "resume": 4, "mnist": 16}
SHARES |= {"cifar": 16, "tensors": 7, "onnx": 4}
LONGEST = 16384  # bytes of an input; what is to be found is small
SECONDS = 10  # for an input, of which most take a millisecond
MOST_MEMORY = 2048  # megabytes of the process, atheris' own included


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("readers", nargs="*", help=f"of {', '.join(SHARES)}; all by default")
    parser.add_argument("--runs", type=int, default=1_000_000, help="executions, of all together")
    parser.add_argument("--seed", type=int, default=0, help="of atheris; 0: of the time")
    parser.add_argument("--jobs", type=int, default=1, help="readers at once")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.readers) - SHARES.keys():
        parser.error(f"unknown readers: {', '.join(sorted(unknown))}")
    if options.child:
        fuzz(options.readers[0], options.runs, options.seed)
        return 0
    return fuzz_all(options.readers or list(SHARES), options)


def fuzz_all(names, options):
    """Fuzz each reader in a process; print how many executions there were; return the status."""
    whole = sum(SHARES[name] for name in names)
    waiting = [(name, options.runs * SHARES[name] // whole) for name in names]
    running, failed, total, start = {}, [], 0, time.monotonic()
    while waiting or running:
        while waiting and len(running) < options.jobs:
            name, runs = waiting.pop(0)
            running[name] = _start(name, runs, options.seed)
        name = next((name for name, (p, _) in running.items() if p.poll() is not None), None)
        if name is None:
            time.sleep(0.2)
            continue
        process, log = running.pop(name)
        text = log.read_text(errors="replace")
        done = max((int(n) for n in re.findall(r"^#(\d+)\s", text, re.M)), default=0)
        covered = re.findall(r"ft: (\d+)", text)
        print(
            f"fuzz: {name}: executions {done}, features {covered[-1] if covered else 0}, "
            f"{'nothing found' if process.returncode == 0 else f'FOUND, see {log}'}",
            flush=True,
        )
        total += done
        if process.returncode != 0:
            failed.append(name)
            print(text[-3000:], flush=True)
    seconds = time.monotonic() - start
    print(f"fuzz: all: executions {total}, seconds {seconds:.0f}, found {len(failed)}", flush=True)
    return 1 if failed else 0


def _start(name, runs, seed):
    """Start the process of a reader; return it and its log."""
    folder = ROOT / "build" / "fuzz" / name
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log"
    command = [sys.executable, "-m", "tests.fuzz", name, f"--runs={runs}", f"--seed={seed}"]
    with open(log, "wb") as file:
        started = subprocess.Popen(
            [*command, "--child"],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},  # a thread would reserve 128 MB for itself
        )
    return started, log


def fuzz(name, runs, seed):
    """Fuzz a reader in this process, which atheris ends."""
    import atheris

    sys.modules.pop("zipfile", None)  # atheris' own, which is not instrumented
    with atheris.instrument_imports(include=["fastfc", "zipfile", "gzip", "pickle"]):
        import gzip
        import pickle  # noqa: F401  (instrumented, as far as nobody has imported them yet)
        import zipfile

        del gzip, zipfile
        from tests.support import mutators, readers

    reader = readers.READERS[name]
    ram = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    scratch = tempfile.mkdtemp(prefix="fastfc-fuzz-", dir=ram)
    inputs = ROOT / "build" / "fuzz" / name / "inputs"
    inputs.mkdir(exist_ok=True)
    for i, seed_input in enumerate(reader.seeds()):
        (inputs / f"seed_{i}").write_bytes(seed_input)
    for _ in range(2):  # whatever is imported when it is first needed
        for seed_input in reader.seeds():
            path = os.path.join(scratch, reader.file)
            Path(path).write_bytes(seed_input)
            with contextlib.suppress(reader.error):
                reader.read(path)
            shutil.rmtree(scratch)
            os.mkdir(scratch)

    peak = [_memory()[0]]

    def run(data):
        before = _memory()[1]
        readers.check(reader, data, scratch)
        now = _memory()[0]
        if now > peak[0]:
            taken, peak[0] = now - before, now
            if taken > 32 * readers.MEGABYTE:
                most = readers.most_memory(data)
                assert taken < most + 24 * readers.MEGABYTE, f"{taken:,} bytes, {most:,} at most"

    change = mutators.BY_READER.get(name, mutators.mutate_archive)
    arguments = [sys.argv[0], f"-runs={runs}", f"-seed={seed}", f"-max_len={LONGEST}"]
    arguments += [f"-timeout={SECONDS}", f"-rss_limit_mb={MOST_MEMORY}", "-len_control=0"]
    arguments += [f"-artifact_prefix={ROOT}/build/fuzz/{name}/", str(inputs)]
    if (CORPUS / name).is_dir():
        arguments.append(str(CORPUS / name))
    try:
        atheris.Setup(
            arguments,
            run,
            custom_mutator=lambda data, most, seed: change(data, most, seed, atheris.Mutate),
        )
        atheris.Fuzz()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _memory():
    """Return the most address space that this process has had, and what it has."""
    with open("/proc/self/status", "rb") as file:
        text = file.read()
    return tuple(
        1024 * int(re.search(key + rb":\s+(\d+)", text)[1]) for key in (b"VmPeak", b"VmSize")
    )


if __name__ == "__main__":
    sys.exit(main())
