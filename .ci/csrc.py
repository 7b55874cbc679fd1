"""Check every C file: it parses alone, includes what it uses, and analysers find no mistake in it.

    python .ci/csrc.py check BUILD       parse each file the way that each unit is compiled
    python .ci/csrc.py analyze BUILD     run GCC's -fanalyzer and clang-tidy (.clang-tidy)
    python .ci/csrc.py commands BUILD    write compile_commands.json, with every file of csrc

BUILD is a CMake build directory with the C tests and compile commands (the Makefile makes it), so
that flags are the build's: each instruction set, vector width and dtype.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
TESTS = ROOT / "tests" / "csrc"

# What comes from which header of the C library, as far as the core uses it.
LIBRARY = {
    "math.h": r"ceil|INFINITY|isfinite|log|pow|sqrt",
    "stddef.h": r"NULL|ptrdiff_t|size_t",
    "stdint.h": r"u?int(?:8|16|32|64|ptr)_t",
    "stdlib.h": r"aligned_alloc|free|malloc",
    "string.h": r"mem(?:cmp|cpy|set)",
}


# What is included through another header alone; and what only another system's compiler can parse,
# as .ci/legs/windows does.
THROUGH = {
    "runtime/system_posix.h": "runtime/system.h",
    "runtime/system_windows.h": "runtime/system.h",
}
ELSEWHERE = {"system_windows.h"}

# Parentheses and what is in them, others too, as deep as attributes go.
NESTED = r"\([^()]*\)"
for _ in range(4):
    NESTED = rf"\((?:[^()]|{NESTED})*\)"


def files_below(folder):
    """Return the C files below a folder; without any, a check would pass that checked nothing."""
    found = sorted(folder.rglob("*.[ch]"))
    if not found:
        sys.exit(f"no C files in {folder}")
    return found


def compiled_units(build):
    """Return the compiler and its flags for each compiled unit, as {source: [flags, ...]}."""
    units = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        words = shlex.split(entry["command"])
        output = words.index("-o")
        flags = words[:output] + words[output + 2 :]
        source = Path(entry["file"])
        units.setdefault(source, []).append([w for w in flags if w not in ("-c", str(source))])
    return units


def ways_to_parse(path, units):
    """Return the flags of a file's own units; what is no unit is part of kernels.c."""
    return units.get(path) or units[CSRC / "kernels.c"]


def parsed_alone(paths, units):
    """Return a complaint for each file that does not parse by itself without warnings."""
    # functions are unused where the files that call them are not there
    alone = ["-fsyntax-only", "-Werror", "-Wno-unused-function", "-x", "c"]
    return failed(
        [*flags, *alone, str(path)]
        for path in paths
        if path.name not in ELSEWHERE
        for flags in ways_to_parse(path, units)
    )


def failed(commands):
    """Run commands, one on each core; return a complaint for each that fails."""

    def complaint(command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return f"{shlex.join(command)}\n{done.stdout}{done.stderr}" if done.returncode else None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(filter(None, pool.map(complaint, commands)))


def without_comments(text):
    """Return C text without its comments and strings."""
    return re.sub(r'/\*.*?\*/|"(\\.|[^"\\\n])*"', " ", text, flags=re.DOTALL)


def without_bodies(text):
    """Return C text without what stands in braces, which may be nested."""
    before = None
    while text != before:
        before, text = text, re.sub(r"\{[^{}]*\}", " ", text)
    return text


def definitions(text):
    """Return the functions, and the other names, that C text defines at its top level."""
    text = re.sub(rf"\b__attribute__\s*{NESTED}", "", text)
    functions = set(re.findall(r"^(?!typedef|_)\w[\w *]*?\b(\w+)\(", text, re.MULTILINE))
    names = set(re.findall(r"^#define (\w+)", text, re.MULTILINE))
    names -= set(re.findall(r"^#undef (\w+)", text, re.MULTILINE))
    names.update(re.findall(r"^#define fc_kernels (\w+)", text, re.MULTILINE))  # for table.h
    for declared in re.findall(r"^typedef ([^;]*);", without_bodies(text), re.MULTILINE):
        names.update(re.findall(r"\(\*(\w+)\)|(\w+)\s*$", declared)[0])
    for constants in re.findall(r"^(?:typedef )?enum \{([^}]*)\}", text, re.MULTILINE):
        names.update(re.findall(r"(\w+)(?: = [^,]*)?(?:,|\s*$)", constants))
    return functions, names - {""}


def included_by_luck(paths):
    """Return a complaint for each name that is used without its include, and each idle include."""
    texts = {path: without_comments(path.read_text()) for path in paths}
    defined = {path: definitions(text) for path, text in texts.items()}
    offered = dict(defined)
    for piece, whole in THROUGH.items():
        parts = zip(offered[CSRC / whole], offered.pop(CSRC / piece), strict=True)
        offered[CSRC / whole] = tuple(names | more for names, more in parts)
    complaints = []
    for path, text in texts.items():
        if path.name == "table.h":  # a piece of fastfc.h
            continue
        where = path.relative_to(ROOT)
        included = re.findall(r'^#include [<"]([^>"]+)', path.read_text(), re.MULTILINE)
        words = set(re.findall(r"\w+", text))
        known = set(re.findall(r"^#define (\w+)", text, re.MULTILINE)).union(*defined[path])
        known.update(*(names for i in included for names in offered.get(CSRC / i, ())))
        used = set(re.findall(r"(?<![\w.])(?<!->)[A-Za-z_]\w*", text)) - known
        called = set(re.findall(r"(?<![\w.])(?<!->)([A-Za-z_]\w*)\(", text)) - known
        for other, (functions, names) in offered.items():
            header = str(other.relative_to(CSRC))
            missing = (used & names) | (called & functions)
            if missing and header not in included:
                complaints.append(f'{where}: #include "{header}" for {", ".join(sorted(missing))}')
            if header in included and header != "table.h" and not words & (functions | names):
                complaints.append(f'{where}: #include "{header}" for nothing')
        for header, pattern in LIBRARY.items():
            found = set(re.findall(rf"(?<![\w.>])(?:{pattern})\b", text))
            if found and header not in included:
                complaints.append(f"{where}: #include <{header}> for {', '.join(sorted(found))}")
            if header in included and not found:
                complaints.append(f"{where}: #include <{header}> for nothing")
    return complaints


def check(units):
    """Exit with every complaint, if there is one."""
    csrc, tests = files_below(CSRC), files_below(TESTS)
    complaints = included_by_luck(csrc) + parsed_alone(csrc, units)
    complaints += parsed_alone(tests, {**units, TESTS / "test.h": units[TESTS / "test_kernels.c"]})
    if complaints:
        sys.exit("\n".join(complaints))
    print(f"{len(csrc)} files of csrc and {len(tests)} of its tests parse alone")


def ways_of_one_isa(path, units):
    """Return the flags of a file's units, float32 first; of those for AVX2 where there are any."""
    ways = ways_to_parse(path, units)
    return [flags for flags in ways if "-mfma" in flags and "-DFC_ISA=avx2" in flags] or ways


def one_way_to_parse(path, units):
    """Return the flags of the first of these, and what lets a part of kernels.c stand alone."""
    return [*ways_of_one_isa(path, units)[0], "-Wno-unused-function", "-x", "c"]


# Each file by itself, without inlining, which would repeat bodies: GCC follows calls anyway.
# kernels.c, which is all files, and train.c and steps.c, which call most of them, take it minutes
# and gigabytes; clang-tidy has an analyser of its own for these.  GCC 12 believes that elements of
# vectors have one bit where it checks shifts; UndefinedBehaviorSanitizer checks those.
GCC_ANALYZER = [
    *("-O0", "-fanalyzer", "-Werror", "-Dalways_inline=", "-fkeep-static-functions"),
    *("-Wno-unused-function", "-Wno-analyzer-shift-count-overflow", "-x", "c", "-c"),
    *("-o", "/dev/null"),
]
NOT_FOR_GCC = {"kernels.c", "train.c", "steps.c"}


def analyze(units):
    """Exit with all that the analysers find in csrc, and clang-tidy also in its tests."""
    commands = []
    for path in files_below(CSRC):
        if path.suffix == ".c" and path.name not in NOT_FOR_GCC:
            flags = ways_to_parse(path, units)[0]
            commands.append(["gcc", *flags[1:], *GCC_ANALYZER, str(path)])
    for path in units:
        ways = ways_of_one_isa(path, units)
        commands += [["clang-tidy", "--quiet", str(path), "--", *flags[1:]] for flags in ways]
    complaints = failed(commands)
    if complaints:
        sys.exit("\n".join(complaints))
    print(f"analysed {len(commands)} times without a finding")


def write_commands(units):
    """Write compile_commands.json, for editors."""
    entries = []
    for path in files_below(CSRC) + files_below(TESTS):
        arguments = [*one_way_to_parse(path, units), str(path)]
        entries.append({"directory": str(ROOT), "file": str(path), "arguments": arguments})
    (ROOT / "compile_commands.json").write_text(json.dumps(entries, indent=1) + "\n")


if __name__ == "__main__":
    command, build = sys.argv[1:]
    commands = {"check": check, "analyze": analyze, "commands": write_commands}
    commands[command](compiled_units(Path(build)))
