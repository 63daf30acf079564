"""
How things are put into words.
"""

import attrs
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.consoles.words import (
    describe_cluster,
    describe_error,
    describe_outcome,
    describe_result,
    describe_row,
    describe_status,
    quote,
)
from jobcluster.core.values import SLEEP, Cause, Outcome, Status
from jobcluster.core.views import BalanceView, ClusterView, JobView, NodeView
from jobcluster.errors import ExpiredTicketError, UnknownTicketError
from tests.consoles.rig import FIRST_JOB, ticket

BALANCE = (
    "Balance (eager): running max - min 1 now, 0.123 on average, worst 2, "
    "within 1 for 99.88 % of 12.3 s in which jobs waited; 7 waiting now"
)
WAITING = JobView(FIRST_JOB, SLEEP, b"100", "waiting", submitted=1_700_000_000_123)
RUNNING = attrs.evolve(WAITING, state="running", attempts=2, node="beta")
SLEPT = Outcome(
    Status.SUCCEEDED,
    started=1_700_000_001_000,
    ended=1_700_000_001_100,
    node="beta",
    value=b"slept 100 ms",
)
ENDED = attrs.evolve(RUNNING, state="ended", outcome=SLEPT)


class OutcomeTests(SynchronousTestCase):
    """
    How jobs end.
    """

    def test_each(self) -> None:
        """
        Each kind of end has its words, on one line.
        """
        for words, outcome in (
            ("slept 100 ms", SLEPT),
            ("succeeded", Outcome(Status.SUCCEEDED, 0)),
            ("two\\nlines", Outcome(Status.SUCCEEDED, value=b"two\nlines")),
            ("\ufffd", Outcome(Status.SUCCEEDED, value=b"\xff")),
            ("cancelled", Outcome(Status.CANCELLED)),
            ("lost (node-lost)", Outcome(Status.LOST, detail=Cause.NODE_LOST)),
            ("lost", Outcome(Status.LOST)),
            ("failed: no such file", Outcome(Status.FAILED, detail="no such file")),
            ("failed (exit code 3)", Outcome(Status.FAILED, 3)),
            ("failed (signal 9): killed", Outcome(Status.FAILED, -9, "killed")),
            ("timed-out: after 5 s", Outcome(Status.TIMED_OUT, detail="after 5 s")),
            ("quarantined: a, b, c", Outcome(Status.QUARANTINED, detail="a, b, c")),
        ):
            self.assertEqual(words, describe_outcome(outcome))


class JobTests(SynchronousTestCase):
    """
    How jobs are described.
    """

    def test_result(self) -> None:
        """
        There is a result, or the job was not executed yet, or the ticket has expired.
        """
        self.assertEqual("Result: slept 100 ms", describe_result(ENDED))
        self.assertEqual("The job was not executed yet: it is waiting.", describe_result(WAITING))
        self.assertEqual(
            "The job was not executed yet: it is running on beta (attempt 2).",
            describe_result(RUNNING),
        )
        expired = attrs.evolve(WAITING, state="expired")
        self.assertRaises(ExpiredTicketError, describe_result, expired)

    def test_status(self) -> None:
        """
        The status has what is known of a job, on one line.
        """
        self.assertEqual(
            "Status: waiting, sleep 100 ms, submitted 2023-11-14T22:13:20.123Z, attempts 0",
            describe_status(WAITING),
        )
        self.assertEqual(
            "Status: running on beta (attempt 2), sleep 100 ms,"
            " submitted 2023-11-14T22:13:20.123Z, attempts 2",
            describe_status(RUNNING),
        )
        self.assertEqual(
            "Status: succeeded on beta, sleep 100 ms, submitted 2023-11-14T22:13:20.123Z,"
            " started 2023-11-14T22:13:21.000Z, ended 2023-11-14T22:13:21.100Z, attempts 2",
            describe_status(ENDED),
        )

    def test_row(self) -> None:
        """
        A row begins with the ticket; what is long is cut.
        """
        self.assertEqual(f"{ticket(0)}  sleep 100 ms  waiting", describe_row("alpha", WAITING))
        self.assertEqual(
            f"{ticket(0)}  sleep 100 ms  succeeded: slept 100 ms", describe_row("alpha", ENDED)
        )
        long = attrs.evolve(ENDED, outcome=SLEPT._replace(value=b"x" * 65536))
        self.assertTrue(len(describe_row("alpha", long)) < 200)

    def test_other_kinds(self) -> None:
        """
        A job of a kind that came later is named by it.
        """
        other = attrs.evolve(WAITING, kind="command", payload=b"\xff\x00")
        self.assertEqual(f"{ticket(0)}  command  waiting", describe_row("alpha", other))


class ClusterTests(SynchronousTestCase):
    """
    How the cluster is described.
    """

    def test_table(self) -> None:
        """
        The columns are aligned, and nothing breaks a line.
        """
        nodes = (
            NodeView("a", "joined", 2, 2, 1, 12345, 0),
            NodeView("a-long-name", "refused", 16, 0, 0, 0, 100000, "a clone\nof a"),
        )
        balance = BalanceView(1, 0.12345, 0.99876, 2, 12.34, 7)
        self.assertEqual(
            [
                "NODE         STATE    SLOTS  GIVEN  RUNNING  COMPLETED  WAITING  REMARK",
                "a            joined       2      2        1      12345        0",
                "a-long-name  refused     16      0        0          0   100000  a clone\\nof a",
                BALANCE,
            ],
            describe_cluster(ClusterView(nodes, balance, "eager")).splitlines(),
        )

    def test_no_nodes(self) -> None:
        """
        A cluster of nobody has a table too.
        """
        empty = ClusterView((), BalanceView(0, 0.0, 1.0, 0, 0.0, 0), "periodic")
        self.assertEqual(2, len(describe_cluster(empty).splitlines()))


class OneLineTests(SynchronousTestCase):
    """
    What comes from elsewhere stays on its line.
    """

    def test_errors(self) -> None:
        """
        An error is its message, or what its type says.
        """
        self.assertEqual(
            "Error: This cluster does not know that ticket.", describe_error(UnknownTicketError())
        )
        self.assertEqual("Error: a\\nb", describe_error(UnknownTicketError("a\nb")))

    def test_quotes(self) -> None:
        """
        What was typed is shortened and shown as it is.
        """
        self.assertEqual("'abc'", quote("abc"))
        self.assertTrue(len(quote("x" * 1000)) < 50)
        self.assertTrue(quote("\n\u202e").isprintable())
