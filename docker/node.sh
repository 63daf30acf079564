#!/bin/sh
# The entry point of the node's image.
#
#   [HOST PORT] [OPTION...]
#
# HOST and PORT are where the balancer is, unless JOBCLUSTER_BALANCER says it.
# The console is on port 9000, unless JOBCLUSTER_CONSOLE says something else.
# OPTIONs are those of twistd jobnode.
set -eu
# shellcheck source=docker/lib.sh
. "$(dirname "$0")/lib.sh"

balancer=
case ${1--} in
-*)
    case " ${JOBCLUSTER_BALANCER:+--balancer} $*" in
    *' --balancer'* | *' --help'* | *' --version'*) ;;
    *) die 'say where the balancer is: its host and its port, or JOBCLUSTER_BALANCER' ;;
    esac
    ;;
*)
    case $1 in
    '' | *[!A-Za-z0-9._-]*) die "'$1' is no host: it must be a name or an IPv4 address" ;;
    esac
    case ${2--} in
    -*) die "say where the balancer is: behind its host, '$1', comes its port" ;;
    esac
    check_port "$2"
    balancer=tcp:$1:$2
    shift 2
    ;;
esac
check_options "a node takes the balancer's host and port, and options" "$@"
export JOBCLUSTER_CONSOLE="${JOBCLUSTER_CONSOLE-tcp:9000}"
run_daemon jobnode ${balancer:+--balancer "$balancer"} "$@"
