"""
What twistd is told of the daemons: their options, and what they are put together from.

Options may come from the environment, which no test may change under the others: those tests have a
process of their own, one for all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.application.service import IService, MultiService
from twisted.internet import reactor
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from jobcluster import balancer_tap, node_tap
from jobcluster.config import BALANCER, NODE, is_beyond_loopback
from jobcluster.core.values import is_name
from jobcluster.daemon import DaemonOptions
from jobcluster.services.clocks import machine_clocks

CHECKOUT = Path(__file__).resolve().parent.parent

LOOPBACK = "tcp:0:interface=127.0.0.1"

PROGRAM = """
import json, os, sys
from jobcluster import balancer_tap, node_tap
from twisted.python import usage
answers = []
for tap, arguments, environ in json.load(sys.stdin):
    os.environ.clear()
    os.environ.update(environ)
    options = (balancer_tap if tap == "balancer" else node_tap).Options()
    try:
        options.parseOptions(arguments)
    except SystemExit as error:
        answers.append({"": str(error)})
    else:
        answers.append(options.chosen)
json.dump(answers, sys.stdout)
"""
"""Parses options, each with an environment of its own."""


@frozen
class Case:
    """
    How a daemon is started, and what is expected of it.
    """

    tap: str
    arguments: tuple[str, ...]
    environ: Mapping[str, str]
    expected: Mapping[str, Any]
    """Settings that are in force; or, under no name, what the line says that refuses to start."""


HOME = {"HOME": "/home/someone"}
CASES = {
    "defaults of a balancer": Case(
        "balancer", (), HOME, {"max-num-nodes": 10, "dispatch-mode": "eager", "verbose": False}
    ),
    "defaults of a node": Case(
        "node",
        (),
        HOME,
        {
            "balancer": "tcp:127.0.0.1:7000",
            "state": "/home/someone/.local/state/jobcluster/node",
            "slots": None,
        },
    ),
    "state beside others": Case(
        "node",
        (),
        {**HOME, "XDG_STATE_HOME": "/var/state"},
        {"state": "/var/state/jobcluster/node"},
    ),
    "state of a name": Case(
        "node",
        ("--name", "left"),
        HOME,
        {"state": "/home/someone/.local/state/jobcluster/left", "name": "left"},
    ),
    "state of a name in the environment": Case(
        "node",
        (),
        {**HOME, "JOBCLUSTER_NAME": "right"},
        {"state": "/home/someone/.local/state/jobcluster/right", "name": "right"},
    ),
    "state that is given": Case(
        "node", ("--state", "here", "--name", "left"), HOME, {"state": "here"}
    ),
    "variables": Case(
        "balancer",
        (),
        {**HOME, "JOBCLUSTER_MAX_NUM_NODES": "3", "DISPATCH_MODE": "periodic", "VERBOSE": "1"},
        {"max-num-nodes": 3, "dispatch-mode": "periodic", "verbose": True},
    ),
    "long name before the bare one": Case(
        "balancer",
        (),
        {**HOME, "JOBCLUSTER_MAX_NUM_NODES": "3", "MAX_NUM_NODES": "4"},
        {"max-num-nodes": 3},
    ),
    "options before variables": Case(
        "balancer",
        ("--max-num-nodes", "2", "--verbose"),
        {**HOME, "JOBCLUSTER_MAX_NUM_NODES": "x", "JOBCLUSTER_VERBOSE": "0"},
        {"max-num-nodes": 2, "verbose": True},
    ),
    "nonsense in a variable": Case(
        "node",
        (),
        {**HOME, "JOBCLUSTER_SLOTS": "many"},
        {"": "JOBCLUSTER_SLOTS is 'many', but must be a whole number from 0 to 100000"},
    ),
    "nonsense in a bare variable": Case(
        "balancer",
        (),
        {**HOME, "VERBOSE": "loud"},
        {"": "VERBOSE is 'loud', but must be 1 or 0"},
    ),
    "beyond loopback by a variable": Case(
        "node",
        (),
        {**HOME, "JOBCLUSTER_CONSOLE": "tcp:9000"},
        {"": "--trust-network"},
    ),
    "trust by a variable": Case(
        "node",
        (),
        {**HOME, "JOBCLUSTER_CONSOLE": "tcp:9000", "JOBCLUSTER_TRUST_NETWORK": "1"},
        {"console": "tcp:9000", "trust-network": True},
    ),
}
"""Each by what it is about."""


@cache
def answers() -> dict[str, dict[str, Any]]:
    """
    What became of all cases.
    """
    cases = [(case.tap, case.arguments, dict(case.environ)) for case in CASES.values()]
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=CHECKOUT,
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise AssertionError(ended.stderr)
    return dict(zip(CASES, json.loads(ended.stdout), strict=True))


class EnvironmentTests(SynchronousTestCase):
    """
    Options that come from the environment.
    """

    def test_each(self) -> None:
        """
        In each case the settings are those that are expected, or the start is refused in one line.
        """
        for about, case in CASES.items():
            answer = answers()[about]
            for name, value in case.expected.items():
                if name:
                    self.assertEqual(value, answer.get(name, answer), about)
                else:
                    self.assertIn(value, answer.get("", ""), about)
                    self.assertEqual(1, len(answer[""].splitlines()), about)

    def test_name_of_the_host(self) -> None:
        """
        A node that was given no name takes the host's, made to fit.
        """
        self.assertTrue(is_name(answers()["defaults of a node"]["name"]))


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
        ):
            for text in ("", "nonsense", "tcp", "tcp:x", "7000", "tcp\n:7000", "what:7000"):
                said = self.refused(tap, option, text)
                self.assertTrue(said.startswith(f"{option} is {text!r}, but must be an endpoint"))
                self.assertIn("tcp:127.0.0.1:7000", said)

    def test_endpoints_in_variables(self) -> None:
        """
        Of one that a variable says it is the variable that is named.
        """
        before = dict(os.environ)
        for tap, variable in (
            (balancer_tap.Options, "JOBCLUSTER_LISTEN"),
            (node_tap.Options, "JOBCLUSTER_CONSOLE"),
            (node_tap.Options, "JOBCLUSTER_BALANCER"),
        ):
            self.patch(os, "environ", {**before, variable: "nonsense"})
            self.assertIn(f"{variable} is 'nonsense', but must be an endpoint", self.refused(tap))
        self.patch(os, "environ", {"HOME": "/", "JOBCLUSTER_LISTEN": "tcp:7000"})
        self.assertIn("JOBCLUSTER_LISTEN tcp:7000 can be", self.refused(balancer_tap.Options))

    def test_beyond_loopback(self) -> None:
        """
        To listen beyond loopback takes an option that says so; the line says what to do (C9).
        """
        for tap, option in ((balancer_tap.Options, "--listen"), (node_tap.Options, "--console")):
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
        self.assertEqual(["NodeService", "Listener"], services)
        self.assertFalse(state.exists())

    def test_settings_arrive(self) -> None:
        """
        What was chosen is what the balancer goes by.
        """
        options = parse(balancer_tap.Options, "--listen", LOOPBACK, "--dispatch-mode", "periodic")
        daemon = balancer_tap.makeService(options)  # type: ignore[arg-type]
        [balancer, _] = daemon
        self.assertEqual("periodic", balancer.cluster.view(machine_clocks()).mode)
