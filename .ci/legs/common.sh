# Sourced by each leg: it runs from the top of the checkout, any failure ends it, and what it builds
# lies in a folder of its own that is removed at its end.
set -euo pipefail
export PIP_DISABLE_PIP_VERSION_CHECK=1
export OPENBLAS_NUM_THREADS=1 # the reference's threads fight over a busy machine's cores
unset FASTFC_ISA FASTFC_DATA PYTHONPATH
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
step() { printf '\n== %s (after %d s)\n' "$*" "$SECONDS"; }

# have COMMAND PACKAGE...: installs the Debian packages where the command is missing.
have() {
    command -v "$1" >/dev/null && return
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${@:2}" >/dev/null
}

# requirements: prints what pyproject.toml requires for building and for running, one a line.
requirements() {
    python3 -c '
import tomllib
with open("pyproject.toml", "rb") as file:
    told = tomllib.load(file)
print(*told["build-system"]["requires"], *told["project"]["dependencies"], sep="\n")'
}

# zig_cc TARGET: makes the compiler $work/TARGET-cc of zig's.
zig_cc() {
    if [[ ! -d $work/zig ]]; then
        python3 -m venv "$work/zig"
        "$work/zig/bin/pip" install --quiet ziglang
    fi
    printf '#!/bin/sh\nexec "%s" -m ziglang cc -target %s "$@"\n' "$work/zig/bin/python" "$1" >"$work/$1-cc"
    chmod +x "$work/$1-cc"
}

# c_build FOLDER OPTIONS...: builds the C tests, warnings as errors.
c_build() {
    local folder=$1
    shift
    cmake -S . -B "$folder" -G Ninja -DFASTFC_EXTENSION=OFF -DFASTFC_TESTS=ON -DFASTFC_WERROR=ON "$@" >/dev/null
    cmake --build "$folder" >"$work/build.log" || { cat "$work/build.log"; return 1; }
}

# c_tests FOLDER OPTIONS...: builds the C tests and runs them; those that $only names, if it is set.
c_tests() {
    c_build "$@"
    ctest --test-dir "$1" --output-on-failure -R "${only:-}"
}
