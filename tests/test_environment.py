"""
Options of the daemons that come from the environment.

No test may change that under the others: these have a process of their own, one for all.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.values import is_name

CHECKOUT = Path(__file__).resolve().parent.parent

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
    "no endpoint to listen on": Case(
        "balancer",
        (),
        {**HOME, "JOBCLUSTER_LISTEN": "nonsense"},
        {"": "JOBCLUSTER_LISTEN is 'nonsense', but must be an endpoint"},
    ),
    "no endpoint to connect to": Case(
        "node",
        (),
        {**HOME, "JOBCLUSTER_BALANCER": ""},
        {"": "JOBCLUSTER_BALANCER is '', but must be an endpoint"},
    ),
    "an endpoint beyond loopback": Case(
        "balancer",
        (),
        {**HOME, "JOBCLUSTER_LISTEN": "tcp:7000"},
        {"": "JOBCLUSTER_LISTEN tcp:7000 can be reached from other machines"},
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
