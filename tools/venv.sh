#!/bin/sh
# Makes a virtualenv with this checkout in it, editable.
#
#   tools/venv.sh DIRECTORY [EXTRA]
#
# EXTRA is one of setup.py's extras, such as dev.
# The Python is the first of 3.10 or newer that runs and can make a virtualenv; the variable PYTHON
# names another.
# A virtualenv that is there and works is kept, and only brought up to date.
set -eu

die() {
    printf 'jobcluster: %s\n' "$1" >&2
    exit 1
}

# A name that is found is not enough: the shims of version managers exist for Pythons that don't run.
is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' </dev/null >/dev/null 2>&1
}

# Debian splits ensurepip, without which venv fails, off into a package of its own.
can_make_virtualenvs() {
    "$1" -c 'import ensurepip, venv' </dev/null >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_new_enough "$PYTHON" || die "PYTHON=$PYTHON is not a Python 3.10 or newer"
        printf '%s\n' "$PYTHON"
        return
    fi
    fallback=
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
        is_new_enough "$candidate" || continue
        if can_make_virtualenvs "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
        : "${fallback:=$candidate}"
    done
    [ -n "$fallback" ] ||
        die 'no Python 3.10 or newer found on the path; install one, or say PYTHON=/path/to/python3'
    printf '%s\n' "$fallback"
}

make_virtualenv() {
    python=$(find_python)
    version=$("$python" -c 'import sys; print("{}.{}".format(*sys.version_info))')
    printf 'jobcluster: setting up %s with Python %s\n' "$directory" "$version"
    if ! said=$("$python" -m venv --clear "$directory" 2>&1); then
        # A half-made one would pass for a virtualenv next time.
        rm -rf "$directory"
        if can_make_virtualenvs "$python"; then
            printf '%s\n' "$said" >&2
            die "'$python -m venv $directory' failed"
        fi
        die "this Python has no venv; on Debian and Ubuntu: apt-get install python$version-venv"
    fi
}

[ $# -ge 1 ] || die 'usage: tools/venv.sh DIRECTORY [EXTRA]'
directory=$1
extra=${2:-}
cd "$(dirname "$0")/.."

is_new_enough "$directory/bin/python" || make_virtualenv
printf 'jobcluster: installing into %s%s\n' "$directory" "${extra:+, with the extra $extra}"
"$directory/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
    --editable ".${extra:+[$extra]}" </dev/null
