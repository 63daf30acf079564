#!/bin/sh
# The entry point of the balancer's image.
#
#   [PORT] [OPTION...]
#
# PORT is where nodes connect: 8080, unless JOBCLUSTER_LISTEN says something else.
# OPTIONs are those of twistd jobbalancer.
set -eu
# shellcheck source=docker/lib.sh
. "$(dirname "$0")/lib.sh"

listen=
case ${1--} in
-*) ;;
*)
    check_port "$1"
    listen=tcp:$1
    shift
    ;;
esac
check_options 'the balancer takes its port, and options' "$@"
export JOBCLUSTER_LISTEN="${JOBCLUSTER_LISTEN-tcp:8080}"
run_daemon jobbalancer ${listen:+--listen "$listen"} "$@"
