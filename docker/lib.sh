# shellcheck shell=sh
# What the entry points of both images have in common.

die() {
    printf 'jobcluster: %s\n' "$1" >&2
    exit 2
}

# check_port PORT
check_port() {
    case $1 in
    '' | *[!0-9]* | ??????*) ;;
    *) [ "$1" -ge 1 ] && [ "$1" -le 65535 ] && return ;;
    esac
    die "'$1' is no port: it must be a number from 1 to 65535"
}

# check_options WHAT_IS_TAKEN [OPTION...]
check_options() {
    case ${2--} in
    -*) ;;
    *) die "'$2' is too much: $1" ;;
    esac
}

# run_daemon KIND [OPTION...]
# In a container loopback is of no use to anybody else, so that both listen beyond it; the daemon
# warns of that itself.
run_daemon() {
    export JOBCLUSTER_TRUST_NETWORK="${JOBCLUSTER_TRUST_NETWORK-1}"
    exec twistd --nodaemon --pidfile= "$@"
}
