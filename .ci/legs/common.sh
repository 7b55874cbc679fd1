# Sourced by each leg: it runs from the top of the checkout, any failure ends it, and what it builds
# lies in a folder of its own that is removed at its end.
set -euo pipefail
export PIP_DISABLE_PIP_VERSION_CHECK=1
unset FASTFC_ISA FASTFC_DATA PYTHONPATH
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
step() { printf '\n== %s (after %d s)\n' "$*" "$SECONDS"; }

# have COMMAND PACKAGE: installs the Debian package where the command is missing.
have() {
    command -v "$1" >/dev/null && return
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$2" >/dev/null
}

# c_tests FOLDER OPTIONS...: builds the C tests, warnings as errors, and runs them.
c_tests() {
    local folder=$1
    shift
    cmake -S . -B "$folder" -G Ninja -DFASTFC_EXTENSION=OFF -DFASTFC_TESTS=ON -DFASTFC_WERROR=ON "$@" >/dev/null
    cmake --build "$folder" >/dev/null
    ctest --test-dir "$folder" --output-on-failure
}
