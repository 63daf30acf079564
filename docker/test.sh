#!/bin/sh
# Builds both images with podman, and tries them: the four steps of README, jobs, a container that is
# killed and started again, a daemon that is frozen, an end in order, and the compose file.
#
#   docker/test.sh
#
# The exit status is 77 where it cannot be tried; the last line says why.
# All that podman makes is in a directory, and all that runs in namespaces, that end with this script:
# neither the images and containers of this machine nor its network are touched, and no port of it.
#
# Variables:
#   BASE_IMAGE      what to build on, instead of what docker/Dockerfile names.
#                   Where that cannot be pulled, debootstrap makes something that stands in for it
#   BUILD_OPTIONS   more options for podman build, such as -v and --env
#   BASE_TARBALL    where that is kept for the next time
#   DEBIAN_MIRROR   where it comes from
#   PODMAN_COMPOSE  podman-compose, 1.6 or newer; without it pip is asked for one
set -u
cd "$(dirname "$0")/.." || exit 1

say() {
    printf '\n== %s\n' "$*"
}

skip() {
    printf 'skipped: %s\n' "$1"
    exit 77
}

die() {
    printf 'FAILED: %s\n' "$1"
    exit 1
}

# -- before: is everything there? ------------------------------------------------------------------

check_tools() {
    [ "$(uname -s)" = Linux ] || skip 'this is no Linux'
    command -v podman >/dev/null || skip 'there is no podman'
    [ "$(id -u)" = 0 ] || skip 'it takes root, for a network of its own'
    for tool in script unshare ip python3; do
        command -v "$tool" >/dev/null || skip "there is no $tool (Debian: bsdutils, util-linux, iproute2, python3)"
    done
    nc -h 2>&1 | grep -q OpenBSD || skip 'there is no nc as OpenBSD has it (Debian: netcat-openbsd)'
    unshare --net --pid --mount --fork true 2>/dev/null || skip 'there can be no namespaces here'
    for place in /usr/lib/podman /usr/libexec/podman /usr/local/libexec/podman; do
        [ ! -x "$place/netavark" ] || [ ! -x "$place/aardvark-dns" ] || return 0
    done
    skip 'names of containers need netavark and aardvark-dns'
}

# What this shell may not have more of, no container may have by default either.
limit() {
    prlimit --noheadings --output SOFT,HARD "--$1" |
        sed "s/unlimited/-1/g; s/^ *\([^ ]*\) *\([^ ]*\) *$/\"$1=\1:\2\"/"
}

set_up_podman() {
    runtime=$(command -v crun || command -v runc) || skip 'there is neither crun nor runc'
    mkdir "$scratch/storage" "$scratch/run" "$scratch/networks" "$scratch/tmp"
    cat >"$scratch/containers.conf" <<END
[containers]
default_ulimits = [$(limit nofile), $(limit nproc)]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime = "${runtime##*/}"
tmp_dir = "$scratch/tmp"
[network]
network_backend = "netavark"
network_config_dir = "$scratch/networks"
END
    cat >"$scratch/storage.conf" <<END
[storage]
driver = "overlay"
graphroot = "$scratch/storage"
runroot = "$scratch/run"
END
    export CONTAINERS_CONF="$scratch/containers.conf"
    export CONTAINERS_STORAGE_CONF="$scratch/storage.conf"
}

# -- building: this needs a network ----------------------------------------------------------------

find_base() {
    base=${BASE_IMAGE:-$(sed -n 's/^ARG BASE=//p' docker/Dockerfile)}
    timeout 120 podman pull --quiet "$base" >/dev/null 2>&1 && return
    [ -z "${BASE_IMAGE:-}" ] || die "there is no image $BASE_IMAGE"
    say "$base cannot be pulled: Debian stands in for it"
    base=localhost/stand-in
    tarball=${BASE_TARBALL:-$scratch/base.tar}
    [ -f "$tarball" ] || make_tarball
    podman import --quiet "$tarball" "$base" >/dev/null || die 'the base could not be imported'
}

make_tarball() {
    command -v debootstrap >/dev/null || skip 'there is no debootstrap to make a base with'
    # shellcheck disable=SC2086  # no word, or one
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
        stable "$scratch/base" ${DEBIAN_MIRROR:-} >"$scratch/debootstrap.log" 2>&1 || {
        tail -n 3 "$scratch/debootstrap.log"
        skip 'debootstrap could not make a base'
    }
    rm -rf "$scratch/base/var/cache/apt/archives" "$scratch/base/var/lib/apt/lists"
    tar -C "$scratch/base" -c -f "$tarball" . || die 'the base could not be kept'
    rm -rf "$scratch/base"
}

# pip in the build trusts whom pip trusts here.
trust_as_here() {
    certificates=${PIP_CERT:-${SSL_CERT_FILE:-}}
    [ ! -f "$certificates" ] || printf '%s\n' -v "$certificates:/run/certificates.pem:ro" \
        --env PIP_CERT=/run/certificates.pem
}

build() {
    find_base
    for target in balancer node; do
        say "building $target"
        # shellcheck disable=SC2046,SC2086  # these are words
        podman build --quiet --isolation chroot --format docker --network host \
            $(trust_as_here) ${BUILD_OPTIONS:-} --build-arg "BASE=$base" \
            --file docker/Dockerfile --target "$target" --tag "jobcluster-$target" . \
            2>"$scratch/errors" || {
            cat "$scratch/errors"
            die "$target could not be built"
        }
    done
}

# -- trying: on a machine that nobody else is on ---------------------------------------------------

# within SECONDS WHAT COMMAND...: until the command succeeds.
within() {
    limit=$1
    what=$2
    shift 2
    end=$(($(date +%s) + limit))
    until "$@"; do
        [ "$(date +%s)" -lt "$end" ] || die "after $limit s: $what"
        sleep 0.2
    done
}

address() {
    podman inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1"
}

# console CONTAINER: types what comes in, and shows what is answered.
console() {
    timeout 60 nc -N "$(address "$1")" 9000
}

tickets() {
    sed -n 's/^Ticket ID: \([^ ]*\).*/\1/p'
}

joined() {
    [ "$(echo nodes | console "$1" 2>/dev/null | grep -c ' joined ')" -eq "$2" ]
}

# container IMAGE: the one that runs, if one does.
container() {
    podman ps --format '{{.ID}} {{.Image}}' | sed -n "s|^\([^ ]*\) localhost/$1:latest\$|\1|p"
}

runs() {
    [ -n "$(container "$1")" ]
}

# results CONTAINER: the results of the tickets that come in, waited for.
results() {
    sed 's/^/wait /' | console "$1"
}

four_steps() {
    say 'the four steps'
    step='podman network create rp_cluster_network'
    echo "$ $step"
    $step
    step='podman run --rm --network-alias reverse-proxy --network rp_cluster_network -it -e DISPATCH_PERIOD=2000 jobcluster-balancer 8080'
    echo "$ $step"
    script --quiet --flush --command "$step" "$scratch/balancer.log" </dev/null >/dev/null 2>&1 &
    balancer=$!
    within 60 'the balancer does not start' runs jobcluster-balancer
    step='podman run --rm --network rp_cluster_network -it -p 9000:9000 jobcluster-node reverse-proxy 8080'
    echo "$ $step"
    script --quiet --flush --command "$step" "$scratch/node.log" </dev/null >/dev/null 2>&1 &
    node=$!
    within 60 'the node does not start' runs jobcluster-node
    first=$(container jobcluster-node)
    within 60 'the node does not join' joined "$first" 1
    ticket=$(echo 300 | console "$first" | tickets)
    echo "$ nc $(address "$first") 9000"
    printf 'wait %s\nrun id -un\nnodes\n' "$ticket" | console "$first" | tee "$scratch/said"
    grep -q '^Result: slept 300 ms' "$scratch/said" || die 'the node did not sleep'
    # The published port is the same console.
    echo "result $ticket" | timeout 10 nc -N 127.0.0.1 9000 | grep -q '^Result: slept 300 ms' ||
        die 'the published port does not answer'
    for log in balancer node; do
        grep -q 'EVERYONE WHO REACHES' "$scratch/$log.log" || die "the log of the $log is not loud"
    done
    podman stop --all >/dev/null
    wait "$balancer" "$node"
    echo '$ podman run --rm -e DISPATCH_PERIOD=soon jobcluster-balancer 8080'
    podman run --rm -e DISPATCH_PERIOD=soon jobcluster-balancer 8080 >"$scratch/said" 2>/dev/null &&
        die 'a variable without sense was taken'
    podman run --rm -e DISPATCH_PERIOD=soon jobcluster-balancer 8080 2>&1 |
        grep "^DISPATCH_PERIOD is 'soon'" || die 'the variable does not arrive'
}

start_cluster() {
    say 'one balancer and three nodes'
    podman run --detach --name balancer --network-alias reverse-proxy \
        --network rp_cluster_network jobcluster-balancer 8080 >/dev/null
    # The id of a container, which is its host's name, may have no letters; no node has such a name.
    for name in n1 n2 n3; do
        [ "$name" = n3 ] && host=012345678901 || host=
        podman run --detach --name "$name" ${host:+--hostname "$host"} \
            --network rp_cluster_network jobcluster-node reverse-proxy 8080 --slots 2 >/dev/null
    done
    within 60 'not every node joins' joined n1 3
    echo nodes | console n1 | tee "$scratch/said"
    grep -q "^$(podman inspect --format '{{.Config.Hostname}}' n1)  *joined" "$scratch/said" ||
        die 'the node does not have the name of its host'
    grep -q '^node-012345678901  *joined' "$scratch/said" || die 'the host without letters is not in'
    [ "$(podman exec n1 id -u)" -ne 0 ] || die 'the node is root'
    volumes=$(for name in n1 n2 n3; do
        podman inspect --format '{{range .Mounts}}{{.Name}} {{.Destination}}{{end}}' "$name"
    done | sort -u | grep -c ' /var/lib/jobcluster$')
    [ "$volumes" -eq 3 ] || die 'not every node has a volume of its own'
}

jobs_run() {
    say 'jobs from outside'
    for _ in 1 2 3 4 5 6; do
        echo "run sh -c 'sleep 2; echo ran on \$JOBCLUSTER_NODE'"
        echo 200
    done | console n1 | tickets >"$scratch/tickets"
    results n2 <"$scratch/tickets" >"$scratch/results"
    sort "$scratch/results" | uniq -c
    [ "$(grep -c '^Result: slept 200 ms' "$scratch/results")" -eq 6 ] || die 'sleeps were lost'
    [ "$(grep -c '^Result: exit code 0' "$scratch/results")" -eq 6 ] || die 'commands were lost'
    [ "$(grep -o 'ran on .*' "$scratch/results" | sort -u | wc -l)" -eq 3 ] ||
        die 'not every node ran some'
}

kill_and_start() {
    say 'a node and the balancer are killed, and started again'
    for i in 1 2 3 4 5 6 7 8 9 10; do
        echo "run sh -c 'sleep 1; echo job $i'"
        echo 1000
    done | console n2 | tickets >"$scratch/tickets"
    [ "$(wc -l <"$scratch/tickets")" -eq 20 ] || die 'not every job was acknowledged'
    before=$(head -n 1 "$scratch/tickets")
    podman kill --signal KILL n2 >/dev/null
    within 10 'the cluster does not notice' joined n1 2
    echo "result $before" | console n1
    podman start n2 >/dev/null
    within 60 'the node does not come back' joined n1 3
    podman kill --signal KILL balancer >/dev/null
    podman start balancer >/dev/null
    within 60 'the balancer does not come back' joined n1 3
    results n1 <"$scratch/tickets" >"$scratch/results"
    sort "$scratch/results" | uniq -c
    [ "$(grep -c -e '^Result: slept 1000 ms' -e '^Result: exit code 0' "$scratch/results")" -eq 20 ] ||
        die 'something acknowledged was lost'
}

# A container that is made anew has another host name, and is the same node.
keep_a_volume() {
    say 'a volume that stays when its container goes'
    for name in before after; do
        podman run --detach --rm --read-only --name "$name" --network rp_cluster_network \
            --volume kept:/var/lib/jobcluster jobcluster-node reverse-proxy 8080 >/dev/null
        within 60 'the node does not join' joined n1 4
        [ "$name" = after ] || ticket=$(echo 10 | console before | tickets)
        echo "wait $ticket" | console "$name"
        podman stop "$name" >/dev/null
        within 60 'the node does not go' joined n1 3
    done | tee "$scratch/results"
    [ "$(grep -c '^Result: slept 10 ms' "$scratch/results")" -eq 2 ] || die 'the volume was lost'
}

# signal CONTAINER NAME: send a signal to the daemon, which is the child of tini.
signal() {
    # shellcheck disable=SC2016  # it is the shell in the container that is to see it
    podman exec "$1" sh -c 'kill -s "$1" $(cat /proc/1/task/1/children)' - "$2"
}

well() {
    podman healthcheck run "$1" >/dev/null 2>&1
}

freeze() {
    say 'a daemon that is frozen is not well'
    for name in balancer n1; do
        well "$name" || die "$name is not well"
        signal "$name" STOP
        well "$name" && die "$name is frozen, and said to be well"
        podman inspect --format '{{json .State.Health}}' "$name" |
            grep -o '"Output":"[^"]*"' | tail -n 1
        # Its port is open all the same.
        signal "$name" CONT
        within 60 "$name does not get well" well "$name"
        podman exec "$name" jobcluster-health
    done
    within 60 'not every node joins again' joined n1 3
}

# stop CONTAINER: in order, and before it is killed after ten seconds.
stop() {
    began=$(date +%s)
    podman stop "$1" >/dev/null
    took=$(($(date +%s) - began))
    status=$(podman inspect --format '{{.State.ExitCode}}' "$1")
    echo "$1 ended with $status within $((took + 1)) s"
    # 128 and SIGTERM, by which twistd ends itself when all is done.
    [ "$status" -eq 143 ] || die "$1 did not end in order"
    [ "$took" -lt 10 ] || die "$1 took too long"
}

end_in_order() {
    say 'an end within ten seconds, whatever runs'
    for _ in 1 2 3 4 5 6; do
        echo "run sh -c 'trap \"\" TERM; while :; do sleep 1; done'"
    done | console n1 | tickets >"$scratch/tickets"
    within 60 'not everything starts' all_run
    for name in n3 n2 n1 balancer; do
        stop "$name"
    done
    podman rm --force --all --volumes >/dev/null
}

all_run() {
    [ "$(echo 'list running' | console n1 | grep -c ' running on ')" -eq 6 ]
}

compose() {
    say 'the compose file, with three nodes'
    if [ -z "$PODMAN_COMPOSE" ]; then
        echo 'not tried: there is no podman-compose of 1.6 or newer'
        return
    fi
    "$PODMAN_COMPOSE" --file docker/compose.yml up --no-build --detach --scale node=3 \
        >"$scratch/compose.log" 2>&1 || {
        cat "$scratch/compose.log"
        die 'the compose file does not start'
    }
    ports=$(podman ps --format '{{.Ports}}' | sed -n 's/^127\.0\.0\.1:\([0-9]*\)->9000.*/\1/p')
    [ "$(echo "$ports" | wc -l)" -eq 3 ] || die 'not every console is published on loopback'
    ! podman ps --format '{{.Ports}}' | grep . | grep -qv '^127\.0\.0\.1:' ||
        die 'something is published beyond loopback'
    within 60 'not every node joins' joined_at "$(echo "$ports" | head -n 1)" 3
    for port in $ports; do
        echo 'run uname -n' | timeout 10 nc -N 127.0.0.1 "$port" | tickets
    done >"$scratch/tickets"
    sed 's/^/wait /' "$scratch/tickets" |
        timeout 20 nc -N 127.0.0.1 "$(echo "$ports" | head -n 1)" >"$scratch/results"
    cat "$scratch/results"
    [ "$(grep -c '^Result: exit code 0' "$scratch/results")" -eq 3 ] || die 'jobs were lost'
    podman rm --force --all --volumes >/dev/null
}

joined_at() {
    [ "$(echo nodes | timeout 10 nc -N 127.0.0.1 "$1" 2>/dev/null | grep -c ' joined ')" -eq "$2" ]
}

show_sizes() {
    say 'sizes'
    podman images --filter dangling=false --format '{{.Repository}} {{.Size}}'
}

# Names that podman does not know, such as that of a balancer that is away, it asks others for; with
# nobody to ask that takes long, and holds up all other questions.
no_such_name() {
    echo 'nameserver 127.0.0.1' >"$scratch/resolv.conf"
    mount --bind "$scratch/resolv.conf" "$(readlink -f /etc/resolv.conf)"
    python3 -c '
import socket
names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind(("127.0.0.1", 53))
while True:
    question, asker = names.recvfrom(65535)
    names.sendto(question[:2] + b"\x81\x83" + question[4:6] + bytes(6) + question[12:], asker)
' &
}

try() {
    ip link set lo up
    mount -t tmpfs tmpfs /run
    no_such_name
    # podman says at each step that it has no systemd to start health checks with: they are started
    # by hand here.
    exec 2>"$scratch/errors"
    trap 'show_logs $?' EXIT
    four_steps
    start_cluster
    jobs_run
    kill_and_start
    keep_a_volume
    freeze
    end_in_order
    compose
    show_sizes
    say 'all of it was as it should be'
}

show_logs() {
    [ "$1" -ne 0 ] || return
    for log in "$scratch"/*.log "$scratch/errors"; do
        printf -- '-- %s\n' "${log##*/}"
        grep -v -e systemd -e syslog "$log" | tail -n 20
    done
    for name in $(podman ps --all --format '{{.Names}}'); do
        printf -- '-- %s\n' "$name"
        podman logs "$name" 2>&1 | tail -n 20
    done
}

# -- all of it -------------------------------------------------------------------------------------

find_compose() {
    [ -z "${PODMAN_COMPOSE:-}" ] || return
    python3 -m venv "$scratch/compose" >/dev/null 2>&1 &&
        "$scratch/compose/bin/pip" install --quiet 'podman-compose>=1.6' >/dev/null 2>&1 &&
        PODMAN_COMPOSE=$scratch/compose/bin/podman-compose
}

# in_namespaces PART [KIND_OF_NAMESPACE]: what it mounts and starts ends with it.
in_namespaces() {
    unshare --pid --mount --mount-proc --fork --kill-child ${2:+"$2"} \
        sh docker/test.sh "$1" "$scratch" &
    child=$!
    wait "$child"
    ended=$?
    child=
    [ "$ended" -eq 0 ] || exit "$ended"
}

clean_up() {
    if [ -n "$child" ]; then
        # The first process in there: unshare waits for it, and it for all others, which the kernel
        # kills with it.
        # shellcheck disable=SC2046  # a number and a blank
        kill -KILL $(cat "/proc/$child/task/$child/children")
        wait "$child"
    fi
    rm -rf "$scratch"
}

child=
case ${1:-} in
'')
    check_tools
    scratch=$(mktemp -d) || exit 1
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    set_up_podman
    find_compose
    export PODMAN_COMPOSE="${PODMAN_COMPOSE:-}"
    in_namespaces build
    in_namespaces try --net
    ;;
build | try)
    scratch=$2
    "$1"
    ;;
*)
    echo "docker/test.sh: '$1' is too much: it takes nothing" >&2
    exit 2
    ;;
esac
