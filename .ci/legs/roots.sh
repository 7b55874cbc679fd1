# Sourced by legs that work in another Debian, whose root is the folder $root, after common.sh.
have debootstrap debootstrap
root=$work/root

# in_root COMMAND...: runs it there, with this machine's /proc, /sys and /dev.
in_root() {
    unshare --mount bash -ec '
        for folder in proc sys dev; do mount --rbind "/$folder" "$0/$folder"; done
        exec chroot "$0" env -i HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
            PATH=/env/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"' "$root" "$@"
}

# in_arm_root COMMAND...: the same in a root of arm64, by qemu, which the kernel is told of for this command alone.
in_arm_root() {
    unshare --map-root-user --mount bash -ec '
        mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
        cat /usr/lib/binfmt.d/qemu-aarch64.conf >/proc/sys/fs/binfmt_misc/register
        . .ci/legs/roots.sh
        in_root "$@"' bash "$@"
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
