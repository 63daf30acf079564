"""
The parts of the demonstration that need no process: its client of the console, and its screen.
"""

import re

from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.consoles.words import describe_cluster
from jobcluster.core.views import BalanceView, ClusterView, NodeView
from jobcluster.demo.console import Console
from jobcluster.demo.screen import NodeState, Picture, Screen, read_nodes

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
    return Picture(seconds, done, 40, (ALPHA, BETA))


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

    def test_lookup(self) -> None:
        """
        A node is found by its name.
        """
        self.assertEqual(BETA, picture().node("beta"))
        self.assertIsNone(picture().node("gamma"))


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
