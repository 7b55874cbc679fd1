# Sourced by legs that work in another Debian, whose root is the folder $root, after common.sh.
have debootstrap debootstrap
root=$work/root
emulated= # a processor that is not this machine's, as qemu names it: aarch64

# in_root COMMAND...: runs it there, with this machine's /proc, /sys and /dev.  Where that takes qemu, the
# kernel is told so for this command alone.  The processor has no SVE: on what qemu 7.2 makes of that,
# NumPy's own products are wrong.
in_root() {
    unshare ${emulated:+--map-root-user} --mount bash -ec '
        root=$0 emulated=$1
        if [[ $emulated ]]; then
            mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
            cat "/usr/lib/binfmt.d/qemu-$emulated.conf" >/proc/sys/fs/binfmt_misc/register
        fi
        for folder in proc sys dev; do mount --rbind "/$folder" "$root/$folder"; done
        exec chroot "$root" env -i HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
            ${emulated:+QEMU_CPU=neoverse-n1} PATH=/env/bin:/usr/sbin:/usr/bin:/sbin:/bin "${@:2}"
        ' "$root" "$emulated" "$@"
}

# wheels PYTHON PLATFORM PACKAGE...: has uv put wheels into the root's environment /env, for its Python.
wheels() {
    if [[ ! -d $work/uv ]]; then
        python3 -m venv "$work/uv"
        "$work/uv/bin/pip" install --quiet uv
    fi
    "$work/uv/bin/uv" pip install --quiet --only-binary :all: --target "$root/env/lib/$1/site-packages" \
        --python-version "${1#python}" --python-platform "$2" "${@:3}"
}

# checkout: copies what git knows of into the root's /fastfc.
checkout() {
    mkdir "$root/fastfc"
    git ls-files -z | xargs -0 cp --parents -t "$root/fastfc"
}
