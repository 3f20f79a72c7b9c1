#!/bin/sh
# Sees to it that a real server is here for the tests: need.sh PROGRAM PACKAGE
#
# As root apt installs Debian's; else the tests that need it are skipped, but for CI, where that is a failure.
set -eu
program=$1 package=$2

command -v "$program" >/dev/null 2>&1 && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    # A policy of 101 keeps the package from starting its daemon, which the tests neither need nor want.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    "$(dirname "$0")/apt-install.sh" "$package" && command -v "$program" >/dev/null 2>&1 && exit 0
fi

echo "circus: no $program here; the tests that need it are skipped." \
    "To run them: sudo apt install --no-install-recommends $package" >&2
[ -z "${CI:-}" ]
