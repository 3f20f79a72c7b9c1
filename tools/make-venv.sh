#!/bin/sh
# Makes a virtual environment: make-venv.sh DIRECTORY [PYTHON]
#
# Says in one line what is missing. Where Debian's venv module is missing and we are root, apt installs it.
set -eu

directory=$1
python=${2:-python3}

fail() {
    echo "circus: $*" >&2
    exit 1
}

command -v "$python" >/dev/null 2>&1 || fail "$python not found; Circus needs Python 3.11 or newer"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" -V 2>&1) is too old: Circus needs Python 3.11 or newer (make PYTHON=/path/to/python3.11)"

if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    # Debian names the package of a particular Python after its version; python3-venv is for its default one.
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    [ "$(command -v apt-get)" ] || fail "$python has no venv module; install it (on Debian: apt install $package)"
    [ "$(id -u)" = 0 ] || fail "$python has no venv module; run: sudo apt install $package"
    "$(dirname "$0")/apt-install.sh" "$package"
    "$python" -c 'import venv, ensurepip' || fail "$python has no venv module even with $package installed"
fi

# One that is half made, by an interrupted run, is made anew; one that works is kept.
if [ ! -x "$directory/bin/python" ] || ! "$directory/bin/python" -m pip --version >/dev/null 2>&1; then
    rm -rf "$directory"
    "$python" -m venv "$directory"
fi
