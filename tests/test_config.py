"""
The settings of the daemons.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.config import (
    BALANCER,
    NODE,
    Setting,
    UnusableSettingError,
    resolve,
)
from jobcluster.endpoints import is_beyond_loopback


@frozen
class Case:
    """
    What a setting is to be.
    """

    name: str
    default: Any
    good: Mapping[str, Any]
    """What may be written, and what it means."""
    bad: tuple[str, ...]
    says: str
    """What the complaint about any of those says that the setting may be."""
    bare: str = ""
    """Its name in the environment without C{JOBCLUSTER_}."""


FLAG: dict[str, Any] = {
    "good": {"0": False, "1": True},
    "bad": ("", "2", "yes", "true", " 1"),
    "says": "1 or 0",
}
WHOLE = ("", "-1", "0", "1.5", "x", "1e3", " 7", "7 ", "+7", "1_000", "٣", "²", "9" * 30)
PERIOD: dict[str, Any] = {
    "good": {"1": 0.001, "5000": 5.0, "86400000": 86_400.0},
    "bad": (*WHOLE, "86400001"),
    "says": "a whole number of milliseconds from 1 to 86400000",
}
BOTH = (
    Case("verbose", default=False, bare="VERBOSE", **FLAG),
    Case("trust-network", default=False, **FLAG),
    Case(
        "log-format",
        default="text",
        good={"text": "text", "json": "json"},
        bad=("", "TEXT", "xml"),
        says="text or json",
    ),
)
BALANCERS = (
    Case("listen", "tcp:7000:interface=127.0.0.1", {"unix:x": "unix:x"}, (), ""),
    Case(
        "rejoin-grace",
        default=3.0,
        good={"1": 1.0, "2.5": 2.5, "3600": 3600.0},
        bad=("", "0", "0.99", "3601", "-3", "nan", "inf", "x", "3s"),
        says="a number of seconds from 1 to 3600",
    ),
    Case("dispatch-period", default=5.0, bare="DISPATCH_PERIOD", **PERIOD),
    Case(
        "max-num-jobs-dispatch",
        default=30,
        good={"1": 1, "30": 30, "2147483647": 2**31 - 1},
        bad=(*WHOLE, "2147483648"),
        says="a whole number from 1 to 2147483647",
        bare="MAX_NUM_JOBS_DISPATCH",
    ),
    Case("request-result-period", default=3.0, bare="REQUEST_RESULT_PERIOD", **PERIOD),
    Case(
        "max-num-nodes",
        default=10,
        good={"1": 1, "100000": 100_000, "007": 7},
        bad=(*WHOLE, "100001"),
        says="a whole number from 1 to 100000",
        bare="MAX_NUM_NODES",
    ),
    Case(
        "dispatch-mode",
        default="eager",
        good={"eager": "eager", "periodic": "periodic"},
        bad=("", "Eager", "lazy"),
        says="eager or periodic",
        bare="DISPATCH_MODE",
    ),
    *BOTH,
)
NODES = (
    Case("balancer", "tcp:127.0.0.1:7000", {"unix:x": "unix:x"}, (), ""),
    Case("console", "tcp:9000:interface=127.0.0.1", {"unix:x": "unix:x"}, (), ""),
    Case("client", "auto", {"none": "none", "tcp:9001": "tcp:9001"}, (), ""),
    Case("state", "", {"/var/lib/node": "/var/lib/node", "": ""}, (), ""),
    Case(
        "name",
        default="",
        good={"": "", "node-1": "node-1", "a" * 63: "a" * 63, "1a": "1a"},
        bad=("Node", "12", "a.b", "a b", "a" * 64, "ä", "a\n"),
        says="lower-case letters, digits and '-', at most 63, and not digits only",
    ),
    Case(
        "slots",
        default=None,
        good={"auto": None, "0": 0, "1": 1, "100000": 100_000},
        bad=("", "-1", "x", "1.5", "100001", "all"),
        says="a whole number from 0 to 100000",
    ),
    Case(
        "labels",
        default=(),
        good={"": (), "gpu": ("gpu",), "mem=big, gpu,gpu": ("gpu", "mem=big")},
        bad=("GPU", "a b", "-x", "a" * 64, ",".join(f"l{number}" for number in range(33))),
        says="at most 32 labels parted by commas",
    ),
    Case(
        "min-free",
        default=64 << 20,
        good={"0": 0, "5": 5, "2K": 2048, "64M": 64 << 20, "3G": 3 << 30},
        bad=("", "-1", "64MB", "64m", "1.5G", "M", "x", "9" * 16),
        says="a number of bytes, or of KiB, MiB or GiB with K, M or G behind it",
    ),
    Case(
        "retention",
        default=30.0,
        good={"30": 30.0, "0.5": 0.5, "36500": 36_500.0},
        bad=("", "0", "-1", "nan", "inf", "36501", "x"),
        says="from 0.001 to 36500",
    ),
    Case(
        "console-prompt",
        default="auto",
        good={"auto": "auto", "on": "on", "off": "off"},
        bad=("", "yes"),
        says="auto or on or off",
    ),
    Case(
        "on-stop",
        default="end",
        good={"end": "end", "keep": "keep"},
        bad=("", "kill"),
        says="end or keep",
    ),
    Case(
        "kill-after",
        default=5.0,
        good={"0": 0.0, "5": 5.0, "0.25": 0.25, "3600": 3600.0},
        bad=("", "-1", "nan", "3601", "x"),
        says="a number of seconds from 0 to 3600",
    ),
    Case(
        "max-output",
        default=1 << 30,
        good={"1": 1, "2K": 2048, "1G": 1 << 30},
        bad=("", "-1", "1.5G", "x"),
        says="a number of bytes, or of KiB, MiB or GiB with K, M or G behind it",
    ),
    Case("allow-pickle", default=False, **FLAG),
    *BOTH,
)
ALL = (*zip(BALANCER, BALANCERS, strict=True), *zip(NODE, NODES, strict=True))
"""Each setting, and what it is to be."""


class SettingTests(SynchronousTestCase):
    """
    Each setting.
    """

    def each(self) -> list[tuple[Setting[Any], Case]]:
        """
        The settings that are to be tested; none is forgotten, for the tables are as long.
        """
        for setting, case in ALL:
            self.assertEqual(case.name, setting.name)
        return list(ALL)

    def complaint(self, setting: Setting[Any], option: str | None, environ: dict[str, str]) -> str:
        """
        What is said of a value that is nonsense, in one line.
        """
        error = self.assertRaises(UnusableSettingError, setting.read, option, environ)
        said = str(error)
        self.assertEqual(1, len(said.splitlines()), said)
        return said

    def test_default(self) -> None:
        """
        Where nothing is said, the default is in force, whatever else is in the environment.
        """
        for setting, case in self.each():
            found = setting.read(None, {"HOME": "/root", "NAME": "Nonsense", "STATE": "CA"})
            self.assertEqual(case.default, found, case.name)
            self.assertIs(type(case.default), type(found), case.name)

    def test_option(self) -> None:
        """
        What the command line says is in force.
        """
        for setting, case in self.each():
            for text, value in case.good.items():
                self.assertEqual(value, setting.read(text, {}), (case.name, text))

    def test_variable(self) -> None:
        """
        So is what the environment says under the long name.
        """
        for setting, case in self.each():
            variable = "JOBCLUSTER_" + case.name.upper().replace("-", "_")
            self.assertEqual(variable, setting.variable)
            for text, value in case.good.items():
                self.assertEqual(value, setting.read(None, {variable: text}), (case.name, text))

    def test_bare_variable(self) -> None:
        """
        The original's settings have their original names, too, and the others have none.
        """
        for setting, case in self.each():
            self.assertEqual(case.bare, setting.bare)
            for text, value in case.good.items() if case.bare else ():
                self.assertEqual(value, setting.read(None, {case.bare: text}), (case.name, text))

    def test_precedence(self) -> None:
        """
        The command line wins over the long name, and that over the bare one.
        """
        setting = next(setting for setting in BALANCER if setting.bare == "MAX_NUM_NODES")
        environ = {"JOBCLUSTER_MAX_NUM_NODES": "2", "MAX_NUM_NODES": "3"}
        self.assertEqual(1, setting.read("1", environ))
        self.assertEqual(2, setting.read(None, environ))
        del environ["JOBCLUSTER_MAX_NUM_NODES"]
        self.assertEqual(3, setting.read(None, environ))

    def test_nonsense(self) -> None:
        """
        Nonsense is refused in one line: where it stands, what it is, and what it may be.
        """
        for setting, case in self.each():
            for text in case.bad:
                for where, option, environ in (
                    (f"--{case.name}", text, dict[str, str]()),
                    (setting.variable, None, {setting.variable: text}),
                    (case.bare, None, {case.bare: text}),
                ):
                    if not where:
                        continue
                    said = self.complaint(setting, option, environ)
                    self.assertTrue(said.startswith(f"{where} is {text!r}, but must be "), said)
                    self.assertIn(case.says, said)

    def test_nonsense_that_is_overruled(self) -> None:
        """
        What is not in force is not looked at.
        """
        setting = next(setting for setting in BALANCER if setting.bare == "MAX_NUM_NODES")
        environ = {"JOBCLUSTER_MAX_NUM_NODES": "x", "MAX_NUM_NODES": "y"}
        self.assertEqual(1, setting.read("1", environ))
        self.assertIn("JOBCLUSTER_MAX_NUM_NODES", self.complaint(setting, None, environ))

    def test_described(self) -> None:
        """
        Each has a name of its own and a line of help.
        """
        for settings in (BALANCER, NODE):
            self.assertEqual(len(settings), len({setting.name for setting in settings}))
            for setting in settings:
                self.assertTrue(setting.help)
                self.assertNotIn("\n", setting.help)

    def test_digits_of_ours(self) -> None:
        """
        Numbers are written in ASCII, fractions too.
        """
        grace = next(setting for setting in BALANCER if setting.name == "rejoin-grace")
        for text in ("٣", "1_0", " 3", "3\n", "\uff13"):
            self.assertIn("--rejoin-grace", self.complaint(grace, text, {}))


class ResolveTests(SynchronousTestCase):
    """
    All settings of a daemon at once.
    """

    def test_all(self) -> None:
        """
        Each has its value, wherever that comes from.
        """
        chosen = resolve(
            BALANCER, {"max-num-nodes": "3", "listen": None}, {"DISPATCH_PERIOD": "250"}
        )
        self.assertEqual({case.name for case in BALANCERS}, set(chosen))
        self.assertEqual(
            (3, 0.25, 30),
            tuple(
                chosen[name]
                for name in ("max-num-nodes", "dispatch-period", "max-num-jobs-dispatch")
            ),
        )

    def test_nonsense(self) -> None:
        """
        One that is nonsense is enough.
        """
        self.assertRaises(UnusableSettingError, resolve, NODE, {}, {"JOBCLUSTER_SLOTS": "many"})


LOOPBACK = (
    "tcp:7000:interface=127.0.0.1",
    "tcp:interface=127.0.0.1:port=7000",
    "tcp:port=7000:interface=localhost",
    "tcp:7000:127.0.0.1",
    "tcp:7000:interface=127.255.0.9",
    r"tcp:7000:interface=\:\:1",
    r"tcp6:7000:interface=\:\:1",
    "tcp:7000:interface=127.0.0.1:backlog=5",
    "unix:/run/console.sock",
    "unix:/run/console.sock:mode=600",
    "unix:address=/run/console.sock",
)
BEYOND = (
    "tcp:7000",
    "tcp:port=7000",
    "tcp:7000:interface=",
    "tcp:7000:interface=0.0.0.0",
    "tcp:7000:0.0.0.0",
    "tcp:7000:interface=192.168.1.5",
    "tcp:7000:interface=10.127.0.0.1",
    "tcp:7000:interface=127.0.0.1.example.org",
    "tcp:7000:interface=example.org",
    "tcp:7000:interface=localhost.example.org",
    r"tcp:7000:interface=\:\:",
    r"tcp:7000:interface=\:\:2",
    "tcp6:7000",
    r"tcp6:7000:interface=\:\:",
    "tcp:7000:backlog=127.0.0.1",
    "tcp:7000:interface=127.0.0.1:interface=0.0.0.0",
    "ssl:7000:interface=0.0.0.0",
    "systemd:domain=INET:index=0",
    "fd:3",
    "haproxy:tcp:7000:interface=0.0.0.0",
    "",
    "nonsense",
)


class LoopbackTests(SynchronousTestCase):
    """
    Which endpoints other machines can reach (C9).
    """

    def test_loopback(self) -> None:
        """
        Those that can be reached from this machine only.
        """
        for endpoint in LOOPBACK:
            self.assertFalse(is_beyond_loopback(endpoint), endpoint)

    def test_beyond(self) -> None:
        """
        All others, and whatever is not understood.
        """
        for endpoint in BEYOND:
            self.assertTrue(is_beyond_loopback(endpoint), endpoint)
