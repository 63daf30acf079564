"""
C{packaging/}: units, environment files and the rest, held against the settings and by systemd's own
programs.
"""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from jobcluster.config import BALANCER, NODE, Setting
from jobcluster.services import node as node_service

PACKAGING = Path(__file__).resolve().parent.parent / "packaging"

UNITS = PACKAGING / "systemd"

SETTINGS: dict[str, tuple[Setting[Any], ...]] = {"balancer": BALANCER, "node": NODE}

EXPOSURE = {"balancer": 2.0, "node": 6.0}
"""What C{systemd-analyze security} may say at most: 0 is best, 10 worst."""


class Unit:
    """
    A unit, as far as these tests read it: keys may come more than once.
    """

    def __init__(self, path: Path) -> None:
        self.text = path.read_text("utf-8")
        self.keys: dict[str, list[str]] = {}
        for line in self.text.splitlines():
            if found := re.fullmatch(r"([A-Za-z]+)=(.*)", line):
                self.keys.setdefault(found[1], []).append(found[2])

    def environment(self) -> dict[str, str]:
        """
        What it sets itself.
        """
        return dict(line.split("=", 1) for line in self.keys.get("Environment", ()))


def unit(kind: str) -> Unit:
    """
    The unit of a daemon.
    """
    return Unit(UNITS / f"jobcluster-{kind}.service")


def lines_of(kind: str) -> list[tuple[str, str, bool]]:
    """
    The settings in an environment file: variable, value, and whether it is in force.
    """
    text = (PACKAGING / "environment" / f"{kind}.env").read_text("utf-8")
    found = re.findall(r"^(#?)([A-Z][A-Z_]*)=(.*)$", text, re.MULTILINE)
    return [(variable, value, not mark) for mark, variable, value in found]


class EnvironmentTests(SynchronousTestCase):
    """
    The environment files.
    """

    def test_complete(self) -> None:
        """
        Every setting is there, in order, and nothing else is; none is in force.
        """
        for kind, settings in SETTINGS.items():
            expected = [(setting.variable, False) for setting in settings]
            self.assertEqual(expected, [(name, force) for name, _, force in lines_of(kind)])

    def test_values(self) -> None:
        """
        Each has the default that it has under the unit, which makes sense.
        """
        for kind, settings in SETTINGS.items():
            defaults = {setting.variable: setting.default for setting in settings}
            defaults |= unit(kind).environment()
            self.assertEqual(defaults, {name: value for name, value, _ in lines_of(kind)})
            for setting in settings:
                setting.read(None, {setting.variable: defaults[setting.variable]})

    def test_length(self) -> None:
        """
        No line is longer than a terminal is wide, and none is bare of a word on what it is.
        """
        for kind, settings in SETTINGS.items():
            text = (PACKAGING / "environment" / f"{kind}.env").read_text("utf-8")
            self.assertLessEqual(max(map(len, text.splitlines())), 100)
            said = " ".join(text.replace("\n# ", " ").lower().split())
            for setting in settings:
                self.assertIn(" ".join(setting.help.lower().split()), said)


class UnitTests(SynchronousTestCase):
    """
    The units, in what this project relies on.
    """

    def test_environment(self) -> None:
        """
        What a unit sets is a setting, and its file of the environment is the one that is shipped.
        """
        for kind, settings in SETTINGS.items():
            keys = unit(kind).keys
            self.assertLessEqual(
                set(unit(kind).environment()), {setting.variable for setting in settings}
            )
            self.assertEqual([f"-/etc/jobcluster/{kind}.env"], keys["EnvironmentFile"])
            [start] = keys["ExecStart"]
            self.assertTrue(start.endswith(f"/twistd -n --pidfile= job{kind}"), start)

    def test_order(self) -> None:
        """
        The environment file comes after what the unit sets, for the later one wins.
        """
        text = unit("node").text
        self.assertGreater(text.index("EnvironmentFile="), text.rindex("Environment=JOBCLUSTER"))

    def test_keeper_lives_on(self) -> None:
        """
        A node that is restarted is killed alone, and nothing of what its keeper runs is taken away.
        """
        keys = unit("node").keys
        self.assertEqual(["process"], keys["KillMode"])
        self.assertEqual(["continue"], keys["OOMPolicy"])
        self.assertEqual("keep", unit("node").environment()["JOBCLUSTER_ON_STOP"])
        self.assertEqual(["no"], keys["PrivateTmp"])
        self.assertEqual(["no"], keys["RemoveIPC"])
        self.assertNotIn("DynamicUser", keys)
        self.assertNotIn("RuntimeDirectory", keys)

    def test_back_in_time(self) -> None:
        """
        A node that was killed is started again well within the time that it has to join again.
        """
        grace = next(float(s.default) for s in BALANCER if s.name == "rejoin-grace")
        self.assertLessEqual(float(unit("node").keys["RestartSec"][0]), grace / 2)

    def test_stops_in_time(self) -> None:
        """
        A node has the time to stop in order: what runs has its own, and the rest has its limits.
        """
        [limit] = unit("node").keys["TimeoutStopSec"]
        kill_after = next(float(s.default) for s in NODE if s.name == "kill-after")
        said = float(re.findall(r"_STOP_LIMIT: Final = (\S+)", inspect.getsource(node_service))[0])
        self.assertGreaterEqual(float(limit), 2 * (kill_after + said + 10))
        self.assertIn(f"Beyond --kill-after ({kill_after:g} s)", unit("node").text)

    def test_user(self) -> None:
        """
        The user of the node is the one that is made, and what it is given is made for it.
        """
        [user] = unit("node").keys["User"]
        made = (PACKAGING / "sysusers.d" / "jobcluster.conf").read_text("utf-8")
        self.assertRegex(made, rf'(?m)^u {user} - "[^"]+" /var/lib/jobcluster$')
        state = unit("node").environment()["JOBCLUSTER_STATE"]
        self.assertEqual(
            f"/var/lib/{unit('node').keys['StateDirectory'][0]}", str(Path(state).parent)
        )


class SystemdTests(SynchronousTestCase):
    """
    What systemd's own programs say; without them this is skipped.
    """

    def setUp(self) -> None:
        """
        Have the units start a program that is there.
        """
        self.units = Path(self.mktemp()).absolute()
        self.units.mkdir()
        program = f"ExecStart={Path(sys.executable).parent}/twistd"
        for path in UNITS.glob("*.service"):
            text, count = re.subn("ExecStart=/opt/jobcluster/bin/twistd", program, path.read_text())
            self.assertEqual(1, count)
            (self.units / path.name).write_text(text, "utf-8")

    def run_program(self, name: str, *arguments: str | Path) -> tuple[int, str]:
        """
        Run one of them: how it ended, and what it said.
        """
        program = shutil.which(name)
        if program is None:
            raise SkipTest(f"{name} is not installed (Debian: apt-get install systemd)")
        done = subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        return done.returncode, done.stdout

    def test_verify(self) -> None:
        """
        systemd-analyze finds nothing to say about the units.
        """
        units = sorted(self.units.iterdir())
        self.assertEqual(2, len(units))
        self.assertEqual((0, ""), self.run_program("systemd-analyze", "verify", "--man=no", *units))

    def test_verify_finds(self) -> None:
        """
        It would, if there were something.
        """
        path = self.units / "jobcluster-node.service"
        path.write_text(path.read_text("utf-8").replace("OOMPolicy=", "OOMPolice="), "utf-8")
        _, said = self.run_program("systemd-analyze", "verify", "--man=no", path)
        self.assertIn("OOMPolice", said)

    def test_security(self) -> None:
        """
        Neither daemon is more exposed than it has to be.
        """
        for kind, most in EXPOSURE.items():
            code, said = self.run_program(
                "systemd-analyze",
                "security",
                "--offline=true",
                "--no-pager",
                f"--threshold={int(most * 10)}",
                self.units / f"jobcluster-{kind}.service",
            )
            self.assertEqual(0, code, said)
            found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
            assert found is not None, said  # noqa: S101 - for mypy
            self.assertLessEqual(float(found[1]), most)

    def test_sysusers(self) -> None:
        """
        The user is made, in a root directory of its own.
        """
        root = Path(self.mktemp()).absolute()
        (root / "etc").mkdir(parents=True)
        conf = PACKAGING / "sysusers.d" / "jobcluster.conf"
        code, said = self.run_program("systemd-sysusers", f"--root={root}", conf)
        self.assertEqual(0, code, said)
        self.assertRegex((root / "etc" / "passwd").read_text(), r"(?m)^jobcluster:.*:/var/lib/jobc")

    def test_tmpfiles(self) -> None:
        """
        The directories are made, in a root directory of its own; they belong to who may make them.
        """
        root = Path(self.mktemp()).absolute()
        (root / "etc").mkdir(parents=True)
        user, group = os.getuid(), os.getgid()
        (root / "etc" / "passwd").write_text(f"jobcluster:x:{user}:{group}::/:/bin/sh\n")
        (root / "etc" / "group").write_text(f"jobcluster:x:{group}:\n")
        conf = PACKAGING / "tmpfiles.d" / "jobcluster.conf"
        code, said = self.run_program("systemd-tmpfiles", "--create", f"--root={root}", conf)
        self.assertEqual(0, code, said)
        for path in ("var/lib/jobcluster", "var/backups/jobcluster"):
            self.assertEqual(0o700, (root / path).stat().st_mode & 0o777)
