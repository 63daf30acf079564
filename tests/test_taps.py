"""
What twistd is told of the daemons: their options, and what they are put together from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet import reactor
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from jobcluster import balancer_tap, node_tap
from jobcluster.config import (
    BALANCER,
    CLIENT_PORT,
    NODE,
)
from jobcluster.daemon import DaemonOptions
from jobcluster.endpoints import is_beyond_loopback
from jobcluster.services.clocks import machine_clocks

LOOPBACK = "tcp:0:interface=127.0.0.1"


def parse(
    tap: type[DaemonOptions], *arguments: str, parent: dict[str, Any] | None = None
) -> DaemonOptions:
    """
    Parse a command line.

    @param parent: twistd's own options.
    """
    options = tap()
    if parent is not None:
        options.parent = parent  # type: ignore[assignment]
    options.parseOptions(list(arguments))
    return options


class OptionsTests(SynchronousTestCase):
    """
    Options on the command line.
    """

    def refused(self, tap: type[DaemonOptions], *arguments: str) -> str:
        """
        The one line that refuses a start.
        """
        said = str(self.assertRaises(SystemExit, parse, tap, *arguments))
        self.assertEqual(1, len(said.splitlines()), said)
        return said

    def test_all(self) -> None:
        """
        Each setting is an option, with a line of help that names its variable; no other is.
        """
        for tap, settings in ((balancer_tap.Options, BALANCER), (node_tap.Options, NODE)):
            flat = "".join(str(tap()).split())
            for setting in settings:
                self.assertIn(f"--{setting.name}", flat)
                self.assertIn(setting.variable, flat)
            self.assertRaises(usage.UsageError, parse, tap, "--no-such-option")

    def test_values(self) -> None:
        """
        What is given is in force, flags too.
        """
        chosen = parse(
            balancer_tap.Options,
            "--listen",
            "unix:here",
            "--rejoin-grace=5",
            "--dispatch-period=250",
            "--trust-network",
        ).chosen
        self.assertEqual(
            ("unix:here", 5.0, 0.25, True),
            tuple(
                chosen[name]
                for name in ("listen", "rejoin-grace", "dispatch-period", "trust-network")
            ),
        )

    def test_nonsense(self) -> None:
        """
        Nonsense is refused with a line that names the option.
        """
        self.assertEqual(
            "--rejoin-grace is '0', but must be a number of seconds from 1 to 3600",
            self.refused(balancer_tap.Options, "--rejoin-grace", "0"),
        )
        self.assertIn("--name", self.refused(node_tap.Options, "--name", "Über"))

    def test_endpoints(self) -> None:
        """
        What is no endpoint is refused, with an example of one; nothing is begun.
        """
        for tap, option in (
            (balancer_tap.Options, "--listen"),
            (node_tap.Options, "--console"),
            (node_tap.Options, "--balancer"),
            (node_tap.Options, "--client"),
        ):
            for text in ("", "nonsense", "tcp", "tcp:x", "7000", "tcp\n:7000", "what:7000"):
                said = self.refused(tap, option, text)
                self.assertTrue(said.startswith(f"{option} is {text!r}, but must be an endpoint"))
                self.assertIn("tcp:127.0.0.1:7000", said)

    def test_beyond_loopback(self) -> None:
        """
        To listen beyond loopback takes an option that says so; the line says what to do (C9).
        """
        for tap, option in (
            (balancer_tap.Options, "--listen"),
            (node_tap.Options, "--console"),
            (node_tap.Options, "--client"),
        ):
            for endpoint in ("tcp:7000", "tcp:7000:interface=0.0.0.0"):
                said = self.refused(tap, option, endpoint)
                self.assertIn(f"{option} {endpoint}", said)
                self.assertIn("--trust-network", said)
                self.assertIn("interface=127.0.0.1", said)
                chosen = parse(tap, option, endpoint, "--trust-network").chosen
                self.assertEqual(endpoint, chosen[option[2:]])

    def test_defaults_stay_at_home(self) -> None:
        """
        What listens by default can be reached from this machine only.
        """
        for tap, option in ((balancer_tap.Options, "listen"), (node_tap.Options, "console")):
            self.assertFalse(is_beyond_loopback(parse(tap).chosen[option]))
        self.assertFalse(is_beyond_loopback(CLIENT_PORT))


class TwistdTests(SynchronousTestCase):
    """
    What the daemons settle for twistd.
    """

    def settled(self, *arguments: str, **parent: object) -> dict[str, Any]:
        """
        Twistd's own options afterwards.
        """
        options: dict[str, Any] = {
            "pidfile": "twistd.pid",
            "logger": None,
            "syslog": 0,
            "logfile": None,
            "nodaemon": True,
            **parent,
        }
        parse(balancer_tap.Options, "--listen", LOOPBACK, *arguments, parent=options)
        return options

    def test_several_in_one_directory(self) -> None:
        """
        Nobody who gave no name for a pid file gets one, so that a stale one stops nobody.
        """
        self.assertEqual("", self.settled()["pidfile"])
        self.assertEqual("mine.pid", self.settled(pidfile="mine.pid")["pidfile"])

    def test_log(self) -> None:
        """
        The log is ours, unless somebody asked for another.
        """
        self.assertEqual("jobcluster.logs.make_observer", self.settled()["logger"])
        self.assertEqual("their.logger", self.settled(logger="their.logger")["logger"])
        self.assertIsNone(self.settled(syslog=1)["logger"])

    def test_without_twistd(self) -> None:
        """
        The options can be read without twistd, too.
        """
        self.assertEqual(
            LOOPBACK, parse(balancer_tap.Options, "--listen", LOOPBACK).chosen["listen"]
        )


class MakeServiceTests(SynchronousTestCase):
    """
    Daemons, put together and not started.
    """

    def setUp(self) -> None:
        """
        A daemon chooses the clock of its reactor: that is undone.
        """
        self.addCleanup(setattr, reactor, "seconds", reactor.seconds)

    def made(
        self,
        make: Callable[[Any], MultiService],
        options: type[DaemonOptions],
        arguments: Sequence[str],
    ) -> list[str]:
        """
        The services of a daemon, all of which belong to it.
        """
        daemon = make(parse(options, *arguments))
        self.assertTrue(IService.providedBy(daemon))
        for service in daemon:
            self.assertIs(daemon, service.parent)
            self.assertFalse(service.running)
        return [type(service).__name__ for service in daemon]

    def test_balancer(self) -> None:
        """
        A balancer, and what listens for its nodes.
        """
        services = self.made(balancer_tap.makeService, balancer_tap.Options, ["--listen", LOOPBACK])
        self.assertEqual(["BalancerService", "Listener"], services)

    def test_node(self) -> None:
        """
        A node, and what listens for its clients; nothing is made on the disk yet.
        """
        state = Path(self.mktemp())
        services = self.made(
            node_tap.makeService,
            node_tap.Options,
            ["--console", LOOPBACK, "--state", str(state), "--slots", "3"],
        )
        self.assertEqual(["NodeService", "Listener", "SocketFile", "Listener"], services)
        self.assertFalse(state.exists())

    def test_node_without_a_port(self) -> None:
        """
        A node need not listen for programs on a port.
        """
        arguments = ["--console", LOOPBACK, "--state", self.mktemp(), "--client", "none"]
        services = self.made(node_tap.makeService, node_tap.Options, arguments)
        self.assertEqual(["NodeService", "Listener", "SocketFile"], services)

    def test_settings_arrive(self) -> None:
        """
        What was chosen is what the balancer goes by.
        """
        options = parse(balancer_tap.Options, "--listen", LOOPBACK, "--dispatch-mode", "periodic")
        daemon = balancer_tap.makeService(options)  # type: ignore[arg-type]
        [balancer, _] = daemon
        self.assertEqual("periodic", balancer.cluster.view(machine_clocks()).mode)
