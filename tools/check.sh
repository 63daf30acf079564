#!/bin/sh
# Everything that has to hold before a change lands; all of CI is this.
#
#   tools/check.sh [PYTHON]
#
# PYTHON is that of a virtualenv with the extra dev, .venv/bin/python by default.
# Every check is made, even after one has failed, and pytest's closing lines come last.
set -u
cd "$(dirname "$0")/.." || exit 1
python=${1:-.venv/bin/python}
scratch=$(mktemp -d) || exit 1
failed=

# Whatever the tests start inherits this, and is known by it afterwards.
CHECK_RUN=$$.$(date +%s)
export CHECK_RUN

# The processes of this run that are still there, by /proc where there is one.
# (This shell is none of them: it was started without what it exports. What it starts here are none
# either, for a function in a substitution may unset what it likes.)
leftovers() {
    mark=CHECK_RUN=$CHECK_RUN
    unset CHECK_RUN
    grep -lzsxF "$mark" /proc/[0-9]*/environ | cut -d/ -f3
}

clean_up() {
    # shellcheck disable=SC2046  # one word for each process
    set -- $(leftovers)
    [ $# -eq 0 ] || kill -KILL "$@" 2>/dev/null
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

check() {
    name=$1
    shift
    printf '\n== %s\n' "$name"
    "$@" </dev/null || failed="$failed, $name"
}

trial() {
    # pytest runs the same tests in full: here it is enough that trial can run each.
    HYPOTHESIS_PROFILE=quick "$python" -m twisted.trial \
        --reporter=text --temp-directory="$scratch/trial" tests
}

no_process_left() {
    # shellcheck disable=SC2046  # one word for each process
    set -- $(leftovers)
    [ $# -eq 0 ] && return
    echo 'The tests left these processes behind:'
    for pid; do
        printf '  %s %s\n' "$pid" "$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")"
    done
    return 1
}

check 'ruff check' "$python" -m ruff check .
check 'ruff format' "$python" -m ruff format --check .
check 'mypy' "$python" -m mypy
check 'docs' "$python" -m sphinx -q -W --keep-going -b html docs "$scratch/docs"
check 'release notes' "$python" -m towncrier build --draft --version next
if git rev-parse --quiet --verify origin/main >/dev/null 2>&1; then
    check 'release note of this change' "$python" -m towncrier check --compare-with origin/main
fi
check 'trial' trial
check 'pytest' "$python" -m pytest --cov
no_process_left || failed="$failed, no process left"

if [ -n "$failed" ]; then
    printf '\nFAILED: %s\n' "${failed#, }"
    exit 1
fi
