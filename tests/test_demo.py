"""
The parts of the demonstration that need no node: its client of the console, its screen, its jobs,
and how it knows the processes that it must not leave behind.
"""

import os
import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.consoles.grammar import parse
from jobcluster.consoles.requests import Submit
from jobcluster.consoles.words import describe_cluster, describe_row
from jobcluster.core.commands import COMMAND, Command, pack_command, unpack_command
from jobcluster.core.values import SLEEP
from jobcluster.core.views import BalanceView, ClusterView, JobView, NodeView
from jobcluster.demo.console import Console
from jobcluster.demo.jobs import Files, make_jobs
from jobcluster.demo.processes import end_all, is_running, left_in, with_state_in
from jobcluster.demo.screen import NodeState, Picture, Screen, read_jobs, read_nodes

ALPHA = NodeState("alpha", "joined", slots=2, running=1, completed=5)
BETA = NodeState("beta", "away", slots=2, running=0, completed=4)


def connected() -> tuple[Console, StringTransport]:
    """
    Make a session, and what it types into.
    """
    console, transport = Console(), StringTransport()
    console.makeConnection(transport)
    return console, transport


class Paper:
    """
    A screen that keeps all that was written.
    """

    def __init__(self, *, columns: int = 80, live: bool = True) -> None:
        self.written: list[str] = []
        self.screen = Screen(self.written.append, columns=columns, live=live)

    def seen(self) -> list[str]:
        """
        What a terminal shows by now, line by line.
        """
        lines: list[str] = []
        for up, text in re.findall(r"\x1b\[(\d+)A\x1b\[J|([^\n]*)\n", "".join(self.written)):
            if up:
                del lines[-int(up) :]
            else:
                lines.append(text)
        return lines


def picture(seconds: float = 0.0, done: int = 10) -> Picture:
    """
    A moment of a run of forty jobs on two nodes.
    """
    return Picture(seconds, done, 40, (ALPHA, BETA), {})


class ConsoleTests(SynchronousTestCase):
    """
    A session, as its client sees it.
    """

    def test_answers_in_order(self) -> None:
        """
        Lines leave as they are asked, and each answer goes to the oldest question.
        """
        console, transport = connected()
        first, second = console.ask("100"), console.ask("200")
        self.assertEqual(b"100\n200\n", transport.value())
        console.dataReceived(b"Ticket ID: a.1\nTicket")
        self.assertEqual("Ticket ID: a.1", self.successResultOf(first))
        self.assertNoResult(second)
        console.dataReceived(b" ID: a.2\n")
        self.assertEqual("Ticket ID: a.2", self.successResultOf(second))

    def test_long_answer(self) -> None:
        """
        An answer of several lines ends with the one that is told by its looks, or with an error.
        """
        console, _ = connected()
        listed, failed = (
            console.ask_long("list", lambda line: line.startswith("Jobs:")) for _ in range(2)
        )
        console.dataReceived(b"one\ntwo\nJobs: 2\nError: no.\n")
        self.assertEqual(["one", "two", "Jobs: 2"], self.successResultOf(listed))
        self.assertEqual(["Error: no."], self.successResultOf(failed))

    def test_bytes(self) -> None:
        """
        The bytes that an answer promises are taken as they are, however they come, and lines go on
        right behind them.
        """
        said = b"Output: 4 bytes, 3 bytes\n\xff\nb\ncd\nOutput: 0 bytes, 0 bytes\nError: no.\nend\n"
        for cut in range(len(said)):
            console, _ = connected()
            asked = [console.ask_bytes(f"output {number}") for number in range(3)]
            last = console.ask("100")
            console.dataReceived(said[:cut])
            console.dataReceived(said[cut:])
            self.assertEqual(
                [
                    ("Output: 4 bytes, 3 bytes", b"\xff\nb\ncd\n"),
                    ("Output: 0 bytes, 0 bytes", b""),
                    ("Error: no.", b""),
                ],
                [self.successResultOf(answer) for answer in asked],
            )
            self.assertEqual("end", self.successResultOf(last))

    def test_ends(self) -> None:
        """
        What is asked when the session has ended, or ends, fails; last words are heard by nobody.
        """
        console, _ = connected()
        asked = console.ask("100")
        console.connectionLost()
        self.failureResultOf(asked, ConnectionLost)
        self.failureResultOf(console.ask("200"), ConnectionLost)
        console.lineReceived(b"The node ends.")


class NodesTests(SynchronousTestCase):
    """
    The answer to C{nodes}, read.
    """

    def test_table(self) -> None:
        """
        What a console says of each node is read off the table, remarks or not.
        """
        view = ClusterView(
            (
                NodeView("alpha", "joined", 2, 2, 1, 5, 3, "trusts its network"),
                NodeView("beta", "away", 2, 0, 0, 4, 0),
            ),
            BalanceView(0, 0.0, 1.0, 0, 0.0, 3),
            "eager",
        )
        self.assertEqual((ALPHA, BETA), read_nodes(describe_cluster(view).splitlines()))

    def test_error(self) -> None:
        """
        An error shows no nodes.
        """
        self.assertEqual((), read_nodes(["Error: The balancer cannot be reached just now."]))


class RowsTests(SynchronousTestCase):
    """
    The answer to C{list}, read.
    """

    def test_places(self) -> None:
        """
        Which node runs a job is read off its row, whatever the job is.
        """
        command = pack_command(Command((b"echo", b"running on gamma (attempt 1)")))
        rows = [
            describe_row("alpha", view)
            for view in (
                JobView(1, COMMAND, command, "running", 0, attempts=2, node="beta"),
                JobView(2, COMMAND, command, "waiting", 0, attempts=1),
                JobView(3, SLEEP, b"10", "cancelling", 0, attempts=1, node="beta"),
            )
        ]
        seen = read_jobs([*rows, "Jobs: 3"])
        self.assertEqual([row.split()[0] for row in rows], [*seen])
        self.assertEqual(["beta", "", ""], [*seen.values()])

    def test_error(self) -> None:
        """
        An error shows no jobs.
        """
        self.assertEqual({}, read_jobs(["Error: no."]))


class JobsTests(SynchronousTestCase):
    """
    What is typed, and what is to come of it.
    """

    def setUp(self) -> None:
        """
        Make the files, where a path has to be quoted.
        """
        parent = Path(self.mktemp()).absolute()
        parent.mkdir()
        self.directory = parent / "it's here"
        self.files = Files(self.directory)

    def run_like_a_node(self, typed: str, ticket: str) -> bytes:
        """
        Run what was typed, and return its output.
        """
        submitted = parse(typed)
        assert isinstance(submitted, Submit)  # noqa: S101 - for mypy
        command = unpack_command(submitted.spec.payload)
        self.assertEqual(os.fsencode(self.directory), command.directory)
        environment = {"PATH": os.environ["PATH"], "JOBCLUSTER_TICKET": ticket}
        return subprocess.run(
            command.argv, cwd=command.directory, env=environment, capture_output=True, check=True
        ).stdout

    def test_quick(self) -> None:
        """
        The program that is run makes of each file the checksum that is expected.
        """
        names = sorted(self.directory.iterdir())
        jobs = [*self.files.checksums(slow=False)]
        self.assertEqual(len(names), len(jobs))
        for job in jobs:
            self.assertEqual(job.output, self.run_like_a_node(job.typed, "a.1"))
        self.assertEqual([], self.files.starts())

    def test_slow(self) -> None:
        """
        A slow one comes to the same, and writes down that it was started, each time that it is.
        """
        job = next(self.files.checksums(slow=True))
        # Time is no part of it.
        typed = re.sub(r"sleep [0-9]+", "sleep 0", job.typed)
        self.assertNotEqual(job.typed, typed)
        for _ in range(2):
            self.assertEqual(job.output, self.run_like_a_node(typed, "a.2"))
        self.assertEqual(["a.2", "a.2"], [ticket for _, ticket in self.files.starts()])

    def test_order(self) -> None:
        """
        Slow ones follow each other, with sleeps before and after them.
        """
        kinds = [f"{job.kind} slowly" if job.is_slow else job.kind for job in make_jobs(self.files)]
        self.assertEqual(
            ["sleep", "checksum", "checksum slowly", "sleep"], [kind for kind, _ in groupby(kinds)]
        )


class ProcessesTests(SynchronousTestCase):
    """
    How the processes are known that belong to a demonstration.
    """

    def setUp(self) -> None:
        """
        Make a directory.
        """
        self.directory = Path(self.mktemp()).resolve()
        self.directory.mkdir()

    def start(self, *arguments: str, **variables: str) -> int:
        """
        Start a program that does nothing, within the directory.
        """
        process = subprocess.Popen(
            [sys.executable, "-c", "input()", *arguments],
            cwd=self.directory,
            env=variables,
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

        def end() -> None:
            process.kill()
            process.communicate()

        self.addCleanup(end)
        # Until the other program has replaced this one, it has no arguments that could be seen.
        arguments_seen = Path(f"/proc/{process.pid}/cmdline")
        while not arguments_seen.read_bytes():
            self.assertIsNone(process.poll())
        return process.pid

    def test_which(self) -> None:
        """
        Nodes and keepers are known by their state directory, commands by where they run and by
        their ticket; nothing else counts, be it in the directory.
        """
        state = str(self.directory / "alpha")
        node = self.start("--state", state)
        keeper = self.start("-m", "jobcluster.keeper", state)
        command = self.start(JOBCLUSTER_TICKET="alpha.1")
        self.start("tail", "-f", state)
        self.start("--state", f"{self.directory}2")
        self.assertEqual({node, keeper}, {*with_state_in(self.directory)})
        self.assertEqual([], with_state_in(self.directory / "alph"))
        self.assertEqual({node, keeper, command}, {*left_in(self.directory)})
        self.assertEqual([], left_in(self.directory / "other"))

    def test_end_all(self) -> None:
        """
        What is told to end and does, a zombie by then, is taken for gone.
        """
        clock = Clock()
        pid = self.start("-m", "jobcluster.keeper", str(self.directory))
        self.assertTrue(is_running(pid))
        ending = Deferred.fromCoroutine(end_all(clock, self.directory))
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        self.assertFalse(is_running(pid))
        clock.advance(1)
        self.successResultOf(ending)

    def test_end_by_force(self) -> None:
        """
        What does not end in time is killed.
        """
        clock = Clock()
        pid = self.start(JOBCLUSTER_TICKET="alpha.1")
        ending = Deferred.fromCoroutine(end_all(clock, self.directory))
        self.assertNoResult(ending)
        clock.pump([5, 5])
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        clock.advance(1)
        self.successResultOf(ending)


class ScreenTests(SynchronousTestCase):
    """
    What is to be seen.
    """

    BLOCK = (
        "  [##########------------------------------] 10 of 40 jobs",
        "  alpha    joined   [#-] 1 running, 5 ended",
        "  beta     away     [--] 0 running, 4 ended",
    )

    def test_draws_in_place(self) -> None:
        """
        On a terminal each picture replaces the one before.
        """
        paper = Paper()
        paper.screen.show(picture(done=5))
        paper.screen.show(picture())
        self.assertEqual([*self.BLOCK], paper.seen())

    def test_says_above(self) -> None:
        """
        What is said stays above what is drawn in place.
        """
        paper = Paper()
        paper.screen.say("one")
        paper.screen.show(picture())
        paper.screen.say("two")
        paper.screen.show(picture())
        self.assertEqual(["one", "two", *self.BLOCK], paper.seen())

    def test_keeps(self) -> None:
        """
        What is to be kept stays where it is.
        """
        paper = Paper()
        paper.screen.show(picture())
        paper.screen.keep()
        paper.screen.say("over")
        self.assertEqual([*self.BLOCK, "over"], paper.seen())

    def test_narrow(self) -> None:
        """
        No line is as wide as the terminal, which would make two of it.
        """
        paper = Paper(columns=20)
        paper.screen.show(picture())
        self.assertEqual([line[:19] for line in self.BLOCK], paper.seen())

    def test_lines_now_and_then(self) -> None:
        """
        Elsewhere there is a line once a second, and never a control character.
        """
        paper = Paper(live=False)
        for seconds in (1.0, 1.5, 1.9, 2.0):
            paper.screen.show(picture(seconds))
        paper.screen.say("over")
        self.assertEqual(
            [
                "    1.0 s  [#####---------------] 10 of 40: alpha runs 1, beta away",
                "    2.0 s  [#####---------------] 10 of 40: alpha runs 1, beta away",
                "over",
            ],
            "".join(paper.written).splitlines(),
        )
