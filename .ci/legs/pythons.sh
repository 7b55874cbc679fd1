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

# python_source SUITE VERSION FOLDER: unpacks Debian's source of CPython VERSION into FOLDER.
python_source() {
    local apt=$work/apt
    mkdir -p "$apt/lists" "$apt/source" "$3"
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $1 main" \
        >"$apt/list"
    local options=(-qq -o APT::Sandbox::User=root -o Dir::Etc::sourcelist="$apt/list" -o Dir::Etc::sourceparts=/dev/null
        -o Dir::State::lists="$apt/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
    apt-get "${options[@]}" update
    (cd "$apt/source" && apt-get "${options[@]}" source --download-only "python$2")
    tar xf "$apt"/source/*.orig.tar.xz -C "$3" --strip-components=1
}
