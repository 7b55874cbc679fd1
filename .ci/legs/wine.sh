# Sourced by legs that build for Windows on x86-64 and run that under wine, after common.sh.
have x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64
have wine wine wine64
export WINEPREFIX=$work/wine WINEDEBUG=-all WINEDLLOVERRIDES=winedbg.exe=d # no debugger: a crash ends the program
trap 'wineserver -k || true; wineserver -w || true; rm -rf "$work"' EXIT
wineboot --init >/dev/null 2>&1

# cross FILE SETTINGS...: makes FILE CMake's toolchain for Windows, of settings without their CMAKE_.
cross() { printf 'set(CMAKE_%s)\n' "SYSTEM_NAME Windows" "SYSTEM_PROCESSOR x86_64" "${@:2}" >"$1"; }

# windows_tests FOLDER: c_tests by the toolchain FOLDER.cmake.
windows_tests() {
    step "the C tests by ${1##*/}"
    c_tests "$1" -DCMAKE_TOOLCHAIN_FILE="$1.cmake" -DCMAKE_CROSSCOMPILING_EMULATOR=wine
    wine "$1/test_dispatch_0.exe" # says which instruction sets those were
}
