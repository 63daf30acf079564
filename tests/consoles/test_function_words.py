"""
How functions, and what they have returned, are put into words.
"""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.consoles.words import describe_job, describe_result, describe_row, describe_status
from jobcluster.core.functions import FUNCTION, Function, named, pack_function
from jobcluster.core.values import Outcome, Status
from jobcluster.core.views import JobView
from tests.consoles.rig import FIRST_JOB, ticket

WAITING = JobView(
    FIRST_JOB, FUNCTION, pack_function(named("math:pow", [2, 10])), "waiting", submitted=1
)
PICKLED = attrs.evolve(WAITING, payload=pack_function(Function("it\n", b"\x80", pickled=True)))
DONE = Outcome(Status.SUCCEEDED, started=1, ended=2, node="beta", value=b"1024.0")


def ended(view: JobView, outcome: Outcome) -> JobView:
    """
    A job that has ended like this.
    """
    return attrs.evolve(view, state="ended", outcome=outcome, attempts=1)


class FunctionTests(SynchronousTestCase):
    """
    Of those with a name the JSON is shown, of pickles that there are such.
    """

    def test_job(self) -> None:
        """
        A function is named, on one line, and shortened.
        """
        self.assertEqual("function math:pow", describe_job(WAITING))
        self.assertEqual("function it\\n (pickled)", describe_job(PICKLED))
        self.assertEqual("a function", describe_job(attrs.evolve(WAITING, payload=b"\0")))
        long = attrs.evolve(WAITING, payload=pack_function(named("a:" + "b" * 100_000)))
        self.assertLess(len(describe_job(long)), 100)

    def test_result(self) -> None:
        """
        The result is the JSON that was returned; output is told of where there is any.
        """
        self.assertEqual("Result: 1024.0", describe_result(ended(WAITING, DONE)))
        loud = DONE._replace(out=b"a\n", out_size=2, value=b'"\xc3\xa9"')
        self.assertEqual(
            'Result: "\u00e9" (output 2 bytes, errors 0 bytes)',
            describe_result(ended(WAITING, loud)),
        )

    def test_pickled(self) -> None:
        """
        Of a pickle the size is told, and of that of an exception nothing.
        """
        self.assertEqual(
            "Result: a pickled value of 6 bytes", describe_result(ended(PICKLED, DONE))
        )
        failed = DONE._replace(status=Status.FAILED, detail="ValueError: x")
        self.assertEqual("Result: failed: ValueError: x", describe_result(ended(PICKLED, failed)))

    def test_failed(self) -> None:
        """
        What went wrong is told by its line, and by the exit code where the process has ended.
        """
        for said, outcome in (
            (
                "failed: ValueError: x (output 0 bytes, errors 7 bytes)",
                Outcome(Status.FAILED, None, "ValueError: x", err_size=7),
            ),
            ("failed (exit code 3): ended", Outcome(Status.FAILED, 3, "ended")),
            ("timed-out (signal 15, SIGTERM): late", Outcome(Status.TIMED_OUT, -15, "late")),
            ("cancelled (signal 15, SIGTERM)", Outcome(Status.CANCELLED, -15)),
            ("lost (node-lost)", Outcome(Status.LOST, None, "node-lost")),
        ):
            self.assertEqual(f"Result: {said}", describe_result(ended(WAITING, outcome)))

    def test_status(self) -> None:
        """
        The status has the function, and how much it has put out.
        """
        self.assertEqual(
            "Status: succeeded on beta, function math:pow, submitted 1970-01-01T00:00:00.001Z,"
            " started 1970-01-01T00:00:00.001Z, ended 1970-01-01T00:00:00.002Z,"
            " output 0 bytes, errors 0 bytes, attempts 1",
            describe_status(ended(WAITING, DONE)),
        )

    def test_row(self) -> None:
        """
        A row has the function and its result, shortened.
        """
        self.assertEqual(
            f"{ticket(0)}  function math:pow  succeeded: 1024.0",
            describe_row("alpha", ended(WAITING, DONE)),
        )
        long = DONE._replace(value=b"1" * 65_536)
        self.assertLess(len(describe_row("alpha", ended(WAITING, long))), 200)
