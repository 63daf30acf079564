"""
What C{twistd jobnode} does: its options, and how a node is put together.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, cast

from twisted.application.service import MultiService, Service

from jobcluster.config import (
    CLIENT_PORT,
    CLIENT_SOCKET,
    NODE,
    state_home,
)
from jobcluster.daemon import (
    DaemonOptions,
    check_client_endpoint,
    end_with,
    listen,
    serve,
    warn_of_trust,
)
from jobcluster.endpoints import is_beyond_loopback
from jobcluster.interfaces import IClusterView, IRunner

__all__ = ["Options", "makeService", "runner_maker"]

_GIVEN_TO_COMMANDS: Final = ("PATH", "HOME", "LANG", "TZ")
"""What every command gets of the node's environment (part 7 of the design)."""


class Options(DaemonOptions):
    """
    A node's options.
    """

    settings = NODE
    listening = "console"
    synopsis = "[options]"
    longdesc = "Takes jobs from clients, and runs jobs."

    def postOptions(self) -> None:
        """
        Look at every option, so that nonsense is refused before anything is begun.
        """
        super().postOptions()
        check_client_endpoint(self.sources["balancer"], self.chosen["balancer"])
        if self.chosen["client"] not in ("auto", "none"):
            self.check_listening("client")
        self.chosen["state"] = self.chosen["state"] or _state_directory(self.chosen["name"])
        self.chosen["name"] = self.chosen["name"] or _host_name()


def _host_name() -> str:
    """The host's name, made to fit."""
    name = re.sub(r"[^a-z0-9]+", "-", socket.gethostname().partition(".")[0].lower()).strip("-")
    name = name[:63] or "node"
    return f"node-{name}"[:63] if name.isdecimal() else name


def _state_directory(name: str) -> str:
    return str(state_home(os.environ) / (name or "node"))


def _usable_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


def runner_maker(
    reactor: Any,  # noqa: ANN401 - has no type of its own: many interfaces in one
    chosen: Mapping[str, Any],
    slots: int,
    name: Callable[[], str],
) -> Callable[[], IRunner]:
    """
    Make what makes a node's runner, each time its core is built.

    @param chosen: the settings.
    @param name: says the node's name, once its store is open.
    """
    from jobcluster.core.commands import COMMAND
    from jobcluster.core.functions import FUNCTION
    from jobcluster.core.values import SLEEP
    from jobcluster.runners.keeper import KeeperRunner, KeeperSettings
    from jobcluster.runners.keeper_place import KeeperDirectory
    from jobcluster.runners.kinds import KindsRunner
    from jobcluster.runners.sleep import SleepRunner
    from jobcluster.services.clocks import machine_clocks

    place = KeeperDirectory(reactor, Path(chosen["state"]))
    settings = KeeperSettings(
        name,
        chosen["kill-after"],
        chosen["max-output"],
        {name: os.environ[name] for name in _GIVEN_TO_COMMANDS if name in os.environ},
        chosen["allow-pickle"],
    )

    def make() -> IRunner:
        runners: dict[str, IRunner] = {SLEEP: SleepRunner(reactor, machine_clocks)}
        if slots or place.has_spool:
            keeper = KeeperRunner(reactor, machine_clocks, place, settings)
            runners |= {COMMAND: keeper, FUNCTION: keeper}
        return KindsRunner(runners, machine_clocks)

    return make


def makeService(options: Options) -> MultiService:
    """
    Put a node together.
    """
    from twisted.internet import reactor
    from twisted.internet.endpoints import clientFromString
    from twisted.internet.interfaces import IReactorThreads

    from jobcluster.consoles.telnet import ConsoleFactory
    from jobcluster.core.node import NodeSettings
    from jobcluster.services.balancer_link import BalancerLink
    from jobcluster.services.clients import ClusterClient
    from jobcluster.services.clocks import boot_id, machine_clocks
    from jobcluster.services.node import NodeService, Parts, Setup
    from jobcluster.store.outputs import OutputFiles, on_threads
    from jobcluster.store.pools import threads
    from jobcluster.store.sqlite import SqliteStore
    from jobcluster.wire import VERSION

    chosen = options.chosen
    slots = chosen["slots"]
    labels = chosen["labels"]
    remarks = ["labels " + " ".join(labels)] if labels else []
    remarks += ["trusts its network"] if chosen["trust-network"] else []
    setup = Setup(
        settings=NodeSettings(
            slots=_usable_cores() if slots is None else slots,
            labels=labels,
            version=VERSION,
            remark="; ".join(remarks),
        ),
        name=chosen["name"],
        boot=boot_id(),
        fresh_store=secrets.token_hex(8),
        random=lambda: secrets.randbits(48),
        first_job=secrets.randbits(20),
        min_free=chosen["min-free"],
        keep=chosen["on-stop"] == "keep",
        kill_after=chosen["kill-after"],
        retention=chosen["retention"],
        verbose=chosen["verbose"],
    )
    state, threaded = Path(chosen["state"]), cast("IReactorThreads", reactor)
    store, outputs = SqliteStore(state, threads(threaded)), OutputFiles(state, on_threads(threaded))
    node = NodeService(
        Parts(reactor, machine_clocks, store, outputs, setup),
        # Its store may remember another name than the one that was chosen.
        runner_maker(reactor, chosen, setup.settings.slots, lambda: (node.identity or setup).name),
        lambda reason: end_with(reactor, reason),
    )
    client = ClusterClient(node, reactor)
    balancer = clientFromString(reactor, chosen["balancer"])
    node.link = BalancerLink(node.handle, client.asked, balancer, reactor, machine_clocks)
    # The machine goes down: what is kept for the next process would be killed, and would count as
    # having crashed.
    signal.signal(signal.SIGUSR1, lambda *_: node.end_what_runs())
    services = MultiService()
    Service.setServiceParent(node, services)
    console = ConsoleFactory(client, reactor, chosen["console-prompt"])
    serve(services, reactor, options, console, lambda: console.leave("This node stops."))
    node.opened = _serve_clients(services, reactor, chosen, client)
    return services


def _serve_clients(
    services: MultiService,
    reactor: Any,  # noqa: ANN401 - see runner_maker
    chosen: Mapping[str, Any],
    view: IClusterView,
) -> Callable[[], None]:
    """
    Have a node listen for programs, on a port, and on a socket in its state directory.

    @return: what is to be called once that directory is locked.
    """
    from twisted.internet.endpoints import UNIXServerEndpoint

    from jobcluster.consoles.amp import ClientFactory
    from jobcluster.services.listening import SocketFile

    factory = ClientFactory(view, reactor)
    path = Path(chosen["state"]).absolute() / CLIENT_SOCKET
    endpoint = UNIXServerEndpoint(reactor, str(path), mode=0o600, wantPID=False)
    local: Any = SocketFile(path, endpoint, factory, factory.leave)
    local.setServiceParent(services)
    where = chosen["client"]
    if where != "none":
        is_asked_for = where != "auto"
        port = where if is_asked_for else CLIENT_PORT
        described = f"--client {port}"
        listen(services, reactor, port, described, factory, factory.leave, is_needed=is_asked_for)
        if is_beyond_loopback(port):
            warn_of_trust(port)
    opened: Callable[[], None] = local.open
    return opened
