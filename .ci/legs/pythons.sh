# Sourced by legs that try several Pythons, after common.sh.

# interpreter VERSION: prints the path of CPython VERSION, say 3.12, where this machine has it.
interpreter() {
    local found
    for found in "$(command -v "python$1")" "$HOME"/.pyenv/versions/"$1".*/bin/python; do
        if "$found" -c '' 2>/dev/null; then
            echo "$found"
            return
        fi
    done
    return 1
}

# debian_source SUITE PACKAGE FOLDER: unpacks the source of Debian's package into FOLDER.
debian_source() {
    local apt=$work/apt
    rm -rf "$apt/source"
    mkdir -p "$apt/lists" "$apt/source" "$3"
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $1 main" \
        >"$apt/list"
    local options=(-qq -o APT::Sandbox::User=root -o Dir::Etc::sourcelist="$apt/list" -o Dir::Etc::sourceparts=/dev/null
        -o Dir::State::lists="$apt/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
    apt-get "${options[@]}" update
    (cd "$apt/source" && apt-get "${options[@]}" source --download-only "$2")
    rm -f "$apt"/source/*.asc # a signature, which some have: apt has checked that the files are Debian's
    tar xf "$apt"/source/*.orig.tar.* -C "$3" --strip-components=1
}

# python_source SUITE VERSION FOLDER: unpacks Debian's source of CPython VERSION into FOLDER.
python_source() { debian_source "$1" "python$2" "$3"; }

# uv ARGUMENTS...: runs uv, which installs in a tenth of pip's time.
uv() {
    if [[ ! -d $work/uv ]]; then
        python3 -m venv "$work/uv"
        "$work/uv/bin/pip" install --quiet uv
    fi
    "$work/uv/bin/uv" "$@"
}

# packages FOLDER VERSION PLATFORM REQUIREMENTS...: installs what CPython VERSION needs on another machine, uv's
# PLATFORM, into an empty FOLDER.
packages() {
    rm -rf "$1"
    uv pip install --quiet --target "$1" --only-binary :all: --python "$(interpreter 3.11)" --python-version "$2" \
        --python-platform "$3" "${@:4}"
}

# small_wheels FOLDER: none of the wheels there is larger than 1.5 MB.
small_wheels() {
    local limit=1500000
    [[ -z $(find "$1" -name '*.whl' -size +${limit}c) ]] || { echo "larger than $limit bytes"; exit 1; }
}
