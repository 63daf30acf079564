"""
What both daemons have in common.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from twisted.application.service import MultiService
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python.logfile import LogFile
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.balancer_tap import Options
from jobcluster.daemon import end_with, serve
from jobcluster.logs import choose, make_observer
from tests.services.cases import ServiceCase

CHECKOUT = Path(__file__).resolve().parent.parent.parent

PREAMBLE = """
import sys
from twisted.internet import reactor
from twisted.logger import globalLogBeginner, textFileLogObserver
from jobcluster.daemon import end_with
globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)
reactor.callLater(20, reactor.stop)
"""
"""Logs to standard output, and does not run for ever."""

CLIENT = "twisted.application._client_service.ClientService"
"""Who says twice a second that it tries again."""


class ServeTests(ServiceCase):
    """
    How a daemon listens.
    """

    def served(self, *arguments: str) -> tuple[MultiService, MemoryReactorClock, list[str]]:
        """
        A daemon that listens, its reactor, and what was said at the end.
        """
        options = Options()
        options.parseOptions(list(arguments))
        services, reactor, said = MultiService(), MemoryReactorClock(), list[str]()
        serve(services, reactor, options, Factory(), lambda: said.append("good-bye"))
        return services, reactor, said

    def test_listens(self) -> None:
        """
        It listens where it was told to when twistd prepares it, and says good-bye in the end.
        """
        services, reactor, said = self.served("--listen", "tcp:7001:interface=127.0.0.1")
        self.assertEqual([], reactor.tcpServers)
        services.privilegedStartService()
        [(port, _, _, interface)] = reactor.tcpServers
        self.assertEqual((7001, "127.0.0.1"), (port, interface))
        services.startService()
        self.assertEqual([], said)
        services.stopService()
        self.assertEqual(["good-bye"], said)

    def test_clock(self) -> None:
        """
        A step of the wall clock makes nobody seem silent: the reactor goes by the other one.
        """
        _, reactor, _ = self.served("--listen", "tcp:7001:interface=127.0.0.1")
        self.assertIs(time.monotonic, reactor.seconds)

    def test_trust_is_loud(self) -> None:
        """
        That a network is trusted is said loudly, and only then.
        """
        logged = self.logged("critical")
        self.served("--listen", "tcp:7001:interface=127.0.0.1")
        self.assertEqual([], logged())
        self.served("--listen", "tcp:7001", "--trust-network")
        [line] = logged()
        self.assertIn("EVERYONE WHO REACHES tcp:7001 CAN RUN JOBS HERE", line)


class EndTests(ServiceCase):
    """
    A daemon that cannot go on.
    """

    def ended(self, program: str) -> subprocess.CompletedProcess[str]:
        """
        What becomes of a process that runs this.
        """
        return subprocess.run(
            [sys.executable, "-c", f"{PREAMBLE}\n{program}"],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
        )

    @staticmethod
    def lines(ended: subprocess.CompletedProcess[str]) -> list[str]:
        """
        What it has written, but for what the reactor says of itself.
        """
        return [line for line in ended.stdout.splitlines() if "[twisted.internet" not in line]

    def test_ends(self) -> None:
        """
        It says why in one line, ends in order, and its exit status tells that from success.
        """
        ended = self.ended(
            "reactor.addSystemEventTrigger('before', 'shutdown', print, 'in order')\n"
            "reactor.callWhenRunning(end_with, reactor, 'the state directory was removed')\n"
            "reactor.run()"
        )
        self.assertEqual(1, ended.returncode, ended.stderr)
        said, order = self.lines(ended)
        self.assertTrue(said.endswith("[jobcluster#critical] the state directory was removed"))
        self.assertEqual("in order", order)

    def test_while_it_stops(self) -> None:
        """
        One that is about to end already has only to say why.
        """
        ended = self.ended(
            "reactor.addSystemEventTrigger(\n"
            "    'before', 'shutdown', end_with, reactor, 'the state directory was removed'\n"
            ")\n"
            "reactor.callWhenRunning(reactor.stop)\n"
            "reactor.run()"
        )
        [said] = self.lines(ended)
        self.assertTrue(said.endswith("[jobcluster#critical] the state directory was removed"))
        self.assertEqual("", ended.stderr)

    def test_not_running(self) -> None:
        """
        So has one that does not run.
        """
        logged = self.logged("critical")
        reactor = MemoryReactorClock()
        reactor.running = False
        end_with(reactor, "the state directory was removed")
        self.assertEqual(["the state directory was removed"], logged())


class LogTests(SynchronousTestCase):
    """
    The daemons' logs.
    """

    def setUp(self) -> None:
        """
        Keep the logs, which a daemon has open as long as it lives, and close them in the end.
        """
        self.observers: list[ILogObserver] = []
        self.addCleanup(self._close)

    def _close(self) -> None:
        for log in gc.get_objects():
            if isinstance(log, LogFile) and not log.closed:
                log.close()

    def observer(self) -> ILogObserver:
        """
        The observer that was chosen.
        """
        self.observers.append(make_observer())
        return self.observers[-1]

    def written(
        self, form: str, *, verbose: bool = False, namespace: str = "jobcluster.node"
    ) -> str:
        """
        What is in the log after a line of each level.
        """
        path = Path(self.mktemp())
        name = choose(form, str(path), verbose=verbose)
        self.assertEqual("jobcluster.logs.make_observer", name)
        log = Logger(namespace=namespace, observer=self.observer())
        for level in ("debug", "info", "warn"):
            log.emit(LogLevel.lookupByName(level), "{how} of {what}", how=level, what="fish")
        return path.read_text("utf-8")

    def test_text(self) -> None:
        """
        As text it is a line for each event, with its time and who says it; quiet by default.
        """
        lines = self.written("text").splitlines()
        self.assertEqual(2, len(lines))
        self.assertTrue(lines[0].endswith("[jobcluster.node#info] info of fish"), lines[0])
        self.assertRegex(lines[0], r"^\d{4}-\d\d-\d\dT")

    def test_json(self) -> None:
        """
        As JSON it is an object on a line of its own for each event, with its fields.
        """
        events = [json.loads(line) for line in self.written("json").splitlines()]
        self.assertEqual(["info", "warn"], [event["how"] for event in events])
        self.assertEqual({"fish"}, {event["what"] for event in events})

    def test_verbose(self) -> None:
        """
        With C{VERBOSE} developers' lines are there, too.
        """
        self.assertEqual(3, len(self.written("text", verbose=True).splitlines()))

    def test_talkative(self) -> None:
        """
        What would be said again and again is not, but with C{VERBOSE}; its warnings are.
        """
        [line] = self.written("text", namespace=CLIENT).splitlines()
        self.assertIn("warn of fish", line)
        self.assertEqual(3, len(self.written("text", verbose=True, namespace=CLIENT).splitlines()))

    def test_standard_output(self) -> None:
        """
        Without a file it goes to standard output.
        """
        for logfile in (None, "", "-"):
            with redirect_stdout(StringIO()) as out:
                choose("text", logfile, verbose=False)
                Logger(namespace="jobcluster", observer=self.observer()).info("hello")
            self.assertIn("hello", out.getvalue())

    def test_appends(self) -> None:
        """
        A log that is there is continued.
        """
        path = Path(self.mktemp())
        path.write_text("before\n", "utf-8")
        choose("text", os.fspath(path), verbose=False)
        Logger(namespace="jobcluster", observer=self.observer()).info("after")
        lines = path.read_text("utf-8").splitlines()
        self.assertEqual("before", lines[0])
        self.assertIn("after", lines[1])
