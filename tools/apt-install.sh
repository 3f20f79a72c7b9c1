#!/bin/sh
# Installs Debian packages without asking: apt-install.sh PACKAGE...   (as root)
#
# The package lists of a fresh machine or container are empty, so a first failure means: fetch them and try again.
set -eu

export DEBIAN_FRONTEND=noninteractive
install="apt-get install -y -qq --no-install-recommends"

$install "$@" </dev/null >/dev/null 2>&1 && exit 0
apt-get update -qq </dev/null >&2 || true
exec $install "$@" </dev/null >&2
