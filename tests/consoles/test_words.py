"""
How things are put into words.
"""

import attrs
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.consoles.words import (
    describe_cluster,
    describe_error,
    describe_job,
    describe_outcome,
    describe_result,
    describe_row,
    describe_status,
    quote,
)
from jobcluster.core.commands import COMMAND, Command, pack_command
from jobcluster.core.values import SLEEP, Cause, Outcome, Status
from jobcluster.core.views import PAYLOAD_SHOWN, BalanceView, ClusterView, JobView, NodeView
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
COMMAND_WAITING = attrs.evolve(
    WAITING, kind=COMMAND, payload=pack_command(Command((b"sh", b"-c", b"echo $1")))
)
DONE = Outcome(Status.SUCCEEDED, 0)
FAILED = Outcome(Status.FAILED, 3)


def command(*argv: bytes) -> JobView:
    """
    A job that runs this.
    """
    return attrs.evolve(COMMAND_WAITING, payload=pack_command(Command(argv)))


def ended(outcome: Outcome, out: bytes = b"", err: bytes = b"") -> JobView:
    """
    A command that ended like this, and has put out so much.
    """
    outcome = outcome._replace(out=out, err=err, out_size=len(out), err_size=len(err))
    return attrs.evolve(COMMAND_WAITING, state="ended", outcome=outcome, attempts=1)


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
            ("failed (signal 9, SIGKILL): killed", Outcome(Status.FAILED, -9, "killed")),
            ("failed (signal 99)", Outcome(Status.FAILED, -99)),
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
        other = attrs.evolve(WAITING, kind="poem", payload=b"\xff\x00")
        self.assertEqual(f"{ticket(0)}  poem  waiting", describe_row("alpha", other))


class CommandTests(SynchronousTestCase):
    """
    How commands are described.
    """

    def test_succeeded(self) -> None:
        """
        The result has the sizes, and the first line of standard output if it is short and text.
        """
        for said, out in (
            ("output 0 bytes, errors 2 bytes", b""),
            ("output 12 bytes, errors 2 bytes: hello world", b"hello world\n"),
            ("output 11 bytes, errors 2 bytes: hello world", b"hello world"),
            ("output 4 bytes, errors 2 bytes: a …", b"a\nb\n"),
            ("output 11 bytes, errors 2 bytes: 4 /tmp \u00e9", "4\t/tmp \u00e9\r\n".encode()),
            ("output 2 bytes, errors 2 bytes", b"\nb"),
            ("output 3 bytes, errors 2 bytes", b" \nb"),
            ("output 2 bytes, errors 2 bytes", b"\xff\n"),
            ("output 4 bytes, errors 2 bytes", b"a\x1bb\n"),
            ("output 80 bytes, errors 2 bytes: " + "x" * 80, b"x" * 80),
            ("output 81 bytes, errors 2 bytes", b"x" * 81),
        ):
            self.assertEqual(
                f"Result: exit code 0, {said}", describe_result(ended(DONE, out, b"e\n"))
            )

    def test_failed(self) -> None:
        """
        The result has the exit code or the signal, and the last line of standard error.
        """
        for said, outcome, err in (
            ("failed (exit code 3), output 3 bytes, errors 0 bytes", FAILED, b""),
            ("failed (exit code 3), output 3 bytes, errors 6 bytes: b", FAILED, b"a\nb\n\n "),
            (
                "failed (exit code 3), output 3 bytes, errors 4 bytes: \\xff\\x1b",
                FAILED,
                b"\n\xff\x1b\n",
            ),
            (
                "failed (signal 9, SIGKILL), output 3 bytes, errors 1 bytes: e",
                Outcome(Status.FAILED, -9),
                b"e",
            ),
            (
                "failed, output 3 bytes, errors 1 bytes: no such program\\n: e",
                Outcome(Status.FAILED, detail="no such program\n"),
                b"e",
            ),
            (
                "timed-out (signal 15, SIGTERM), output 3 bytes, errors 0 bytes: after 5 s",
                Outcome(Status.TIMED_OUT, -15, "after 5 s"),
                b"",
            ),
        ):
            self.assertEqual(f"Result: {said}", describe_result(ended(outcome, b"out", err)))
        long = describe_result(ended(FAILED, err=b"x" * 60_000 + b"\n"))
        self.assertTrue(long.endswith("bytes: " + "x" * 80 + "…"))

    def test_not_by_itself(self) -> None:
        """
        What was ended from outside is told as for any job.
        """
        for words, outcome in (
            ("lost (node-lost)", Outcome(Status.LOST, detail=Cause.NODE_LOST)),
            ("cancelled (signal 15, SIGTERM)", Outcome(Status.CANCELLED, -15)),
            ("cancelled", Outcome(Status.CANCELLED)),
            ("quarantined: a, b, c", Outcome(Status.QUARANTINED, detail="a, b, c")),
        ):
            self.assertEqual(f"Result: {words}", describe_result(ended(outcome, err=b"e\n")))

    def test_row(self) -> None:
        """
        A row has the command line and the result, both shortened.
        """
        self.assertEqual(
            f"{ticket(0)}  run sh -c 'echo $1'  waiting", describe_row("alpha", COMMAND_WAITING)
        )
        self.assertEqual(
            f"{ticket(0)}  run sh -c 'echo $1'  succeeded: exit code 0, output 3 bytes,"
            " errors 0 bytes: hi",
            describe_row("alpha", ended(DONE, b"hi\n")),
        )
        long = attrs.evolve(ended(FAILED, err=b"x" * 500), payload=command(b"y" * 500).payload)
        row = describe_row("alpha", long)
        self.assertIn("  run " + "y" * 60 + "…  failed (exit code 3), output 0 bytes, ", row)
        self.assertTrue(len(row) < 220)

    def test_status(self) -> None:
        """
        The status has the code and the sizes too.
        """
        self.assertEqual(
            "Status: succeeded, run sh -c 'echo $1', submitted 2023-11-14T22:13:20.123Z,"
            " ended 1970-01-01T00:00:00.000Z, exit code 0, output 3 bytes, errors 1 bytes,"
            " attempts 1",
            describe_status(ended(DONE, b"hi\n", b"e")),
        )
        self.assertIn(
            ", signal 11, SIGSEGV, output", describe_status(ended(Outcome("failed", -11)))
        )
        self.assertIn(", a command, ", describe_status(attrs.evolve(WAITING, kind=COMMAND)))

    def test_command_lines(self) -> None:
        """
        A command is shown as it would have to be typed, without what cannot be shown.
        """
        for shown, argv in (
            ("run ls -l", [b"ls", b"-l"]),
            ("run ls '' 'a b'", [b"ls", b"", b"a b"]),
            ("run '\u79c1'", ["\u79c1".encode()]),
            ("run '\\xff\\x1b\\n'", [b"\xff\x1b\n"]),
            ("run " + "x" * 60 + "…", [b"x" * 61]),
            ("run" + " x" * 30 + " …", [b"x"] * 5000),
        ):
            self.assertEqual(shown, describe_job(command(*argv)))

    def test_too_long(self) -> None:
        """
        Of a command whose words are not all known, or that is none, nothing is shown.
        """
        payload = pack_command(Command((b"x" * PAYLOAD_SHOWN,)))[:PAYLOAD_SHOWN]
        for unreadable in (
            payload,
            b"",
            b"{}",
            b"[" * PAYLOAD_SHOWN,
            b'{"argv":[]}',
            b'{"argv":[1]}',
        ):
            self.assertEqual(
                "a command", describe_job(attrs.evolve(COMMAND_WAITING, payload=unreadable))
            )
        stdin = pack_command(Command((b"cat",), stdin=b"x" * PAYLOAD_SHOWN))[:PAYLOAD_SHOWN]
        self.assertEqual("run cat", describe_job(attrs.evolve(COMMAND_WAITING, payload=stdin)))


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
