"""
The order of answers, and what is under way at once.
"""

from jobcluster.consoles.session import BATCH, OVERLAP
from jobcluster.core.values import Outcome, Status
from jobcluster.errors import NotAcknowledgedError, StoreFullError
from tests.consoles.cases import SessionCase
from tests.consoles.rig import FIRST_JOB, TICK, ticket


class BatchTests(SessionCase):
    """
    Submissions.
    """

    def test_one(self) -> None:
        """
        A job is acknowledged when it is on the disk, not before.
        """
        self.assertEqual([], self.typist.ask("100\n"))
        self.assertEqual([f"Ticket ID: {ticket(0)}"], self.lines())

    def test_together(self) -> None:
        """
        What comes together is submitted and answered together, up to a bound.
        """
        self.typist.type("0\n" * 3 * BATCH)
        self.assertEqual([BATCH], self.cluster.batches)
        self.typist.advance(2 * TICK)
        self.assertEqual([BATCH, BATCH], self.cluster.batches)
        self.assertEqual(1, self.typist.connection.writes)
        lines = self.lines(0.5)
        self.assertEqual([f"Ticket ID: {ticket(n)}" for n in range(3 * BATCH)], lines)
        self.assertEqual([BATCH] * 3, self.cluster.batches)
        self.assertEqual(3, self.typist.connection.writes)

    def test_gathered_meanwhile(self) -> None:
        """
        While one batch is under way the next one is gathered.
        """
        for _ in range(5):
            self.typist.type("0\n")
        self.assertEqual(5, len(self.lines(0.3)))
        self.assertEqual([1, 4], self.cluster.batches)

    def test_errors_among_them(self) -> None:
        """
        Lines that cannot be read do not part a batch, and have their answers in their places.
        """
        self.typist.type("1\n-1\n2\n\n\x01\nhelp exit\n3\n")
        lines = self.lines()
        self.assertEqual([3], self.cluster.batches)
        self.assertEqual(
            ["Ticket", "Error:", "Ticket", "Error:", "Error:", "exit:", "Ticket"],
            [line.split()[0] for line in lines],
        )
        self.assertEqual([ticket(0), ticket(1), ticket(2)], [lines[n][11:] for n in (0, 2, 6)])

    def test_refused(self) -> None:
        """
        Each line of a batch that failed says why.
        """
        for failure in (StoreFullError(), NotAcknowledgedError()):
            self.cluster.failure = failure
            self.assertEqual([f"Error: {failure}"] * 2, self.typist.ask("1\n2\n"))

    def test_broken(self) -> None:
        """
        A fault in the node is logged, and answered; the session goes on.
        """
        self.cluster.failure = ZeroDivisionError("secret")
        [line] = self.typist.ask("1\n")
        self.assertNotIn("secret", line)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.cluster.failure = None
        self.typist.type("1\n")
        self.assertEqual([f"Ticket ID: {ticket(0)}"], self.lines())

    def test_not_joined(self) -> None:
        """
        A node that is not joined takes jobs, and says so behind the ticket.
        """
        self.cluster.why = "the balancer is away."
        self.typist.type("1\n")
        [line] = self.lines()
        self.assertEqual(["Ticket", "ID:", ticket(0)], line.split()[:3])
        self.assertIn("not joined: the balancer is away;", line)


class OrderTests(SessionCase):
    """
    Answers come in the order of the lines.
    """

    def test_wait_holds(self) -> None:
        """
        What stands behind a C{wait} starts when it is over, and sees what was waited for.
        """
        self.typist.type(f"500\nwait {ticket(0)}\nr{ticket(0)}\nnodes\n")
        self.assertEqual([f"Ticket ID: {ticket(0)}"], self.lines(0.4))
        self.assertEqual(["submit 1", f"wait {ticket(0)}"], self.cluster.asked)
        lines = self.lines(0.5)
        self.assertEqual(["Result: slept 500 ms"] * 2, lines[:2])
        self.assertTrue(lines[2].startswith("NODE"))

    def test_waits_overlap(self) -> None:
        """
        Consecutive waits are under way together; their answers keep their order.
        """
        self.typist.type("900\n600\n300\n")
        self.assertEqual(3, len(self.lines()))
        self.typist.type("".join(f"wait {ticket(n)}\n" for n in range(3)))
        self.assertEqual(["submit 3"] + [f"wait {ticket(n)}" for n in range(3)], self.cluster.asked)
        self.assertEqual([], self.lines(0.8))
        self.assertEqual([f"Result: slept {n} ms" for n in (900, 600, 300)], self.lines(0.2))

    def test_one_turn(self) -> None:
        """
        What is answered in one turn is written at its end, once.
        """
        self.typist.type("9000\n" * 4)
        self.lines()
        self.typist.type("".join(f"wait {ticket(n)}\n" for n in range(4)))
        self.lines()
        writes = self.typist.connection.writes
        for n in range(3):
            self.cluster.end(FIRST_JOB + n, Outcome(Status.CANCELLED))
        self.assertEqual(writes, self.typist.connection.writes)
        # The end of the turn, and the four jobs that were to end by themselves.
        self.assertEqual(1 + 4, len(self.clock.getDelayedCalls()))
        self.assertEqual(["Result: cancelled"] * 3, self.lines(TICK))
        self.assertEqual(writes + 1, self.typist.connection.writes)

    def test_results_overlap(self) -> None:
        """
        So are consecutive results, errors among them, up to a bound; one turn is one write.
        """
        self.typist.type("0\n" * (OVERLAP + 5))
        self.lines(0.5)
        self.cluster.asked.clear()
        writes = self.typist.connection.writes
        self.typist.type("".join(f"r{ticket(n)}\n" for n in range(OVERLAP - 1)))
        self.typist.type(f"oops\nr{ticket(OVERLAP)}\n")
        self.assertEqual(OVERLAP - 1, len(self.cluster.asked))
        lines = self.lines()
        self.assertEqual(OVERLAP, len(lines))
        self.assertTrue(lines[-1].startswith("Error: 'oops'"))
        self.assertEqual(writes + 1, self.typist.connection.writes)
        self.assertEqual(["Result: slept 0 ms"], self.lines())

    def test_kinds_do_not_overlap(self) -> None:
        """
        A result does not overtake the cancelling before it.
        """
        self.typist.type(f"500\ncancel {ticket(0)}\nr{ticket(0)}\ncancel {ticket(0)}\n")
        self.assertEqual(
            [
                f"Ticket ID: {ticket(0)}",
                "Cancelled: it will never run.",
                "Result: cancelled",
                "Too late: it has ended; see its result.",
            ],
            self.lines(1),
        )

    def test_unknown(self) -> None:
        """
        Tickets of nobody, of other nodes and none at all have an answer each.
        """
        self.typist.type(f"r{ticket(7)}\nstatus {ticket(0, 'away')}\nwait x.y\n")
        self.assertEqual(
            [
                "Error: This cluster does not know that ticket.",
                "Error: The node that this ticket came from is away: try again when it is back.",
                "Error: That is not a ticket: a ticket looks like node-name.0123456789abc.",
            ],
            self.lines(),
        )

    def test_balancer_away(self) -> None:
        """
        Without a balancer there are no figures, and one line says why.
        """
        self.cluster.balancer_away = True
        self.cluster.why = "cannot connect"
        self.typist.type("nodes\n")
        [line] = self.lines()
        self.assertTrue(line.startswith("Error: The balancer cannot be asked"))
        self.assertIn("not joined: cannot connect", line)

    def test_interrupted(self) -> None:
        """
        Ctrl-C ends the waiting, not the job and not the session.
        """
        self.typist.type(f"500\nwait {ticket(0)}\n")
        self.lines(0.3)
        self.typist.type(b"\xff\xf4")
        [line] = self.lines(0)
        self.assertTrue(line.startswith("Interrupted"))
        self.assertEqual(1, self.cluster.ended_waits)
        self.typist.type(f"wait {ticket(0)}\n")
        self.assertEqual(["Result: slept 500 ms"], self.lines(0.5))


class ListTests(SessionCase):
    """
    Lists come in pages.
    """

    def test_getall(self) -> None:
        """
        Every job has its row, and their number follows.
        """
        self.typist.type("0\n5000\n")
        self.lines()
        self.typist.type("getall\n")
        self.assertEqual(
            [
                f"{ticket(0)}  sleep 0 ms  succeeded: slept 0 ms",
                f"{ticket(1)}  sleep 5000 ms  running on beta (attempt 1)",
                "Jobs: 2",
            ],
            self.lines(0.3),
        )

    def test_list(self) -> None:
        """
        By default the jobs without an outcome are listed, or those of a state.
        """
        self.typist.type(f"0\n5000\n6000\ncancel {ticket(1)}\n")
        self.lines(0.3)
        for verb, numbers in (
            ("list", [2]),
            ("list succeeded", [0]),
            ("list cancelled", [1]),
            ("list lost", []),
        ):
            self.typist.type(f"{verb}\n")
            *rows, last = self.lines(0.3)
            self.assertEqual([ticket(n) for n in numbers], [row.split()[0] for row in rows])
            self.assertEqual(f"Jobs: {len(numbers)}", last)

    def test_slow_reader(self) -> None:
        """
        Pages are read as fast as the peer reads them, and other lines wait; nothing is lost.
        """
        self.typist.type("0\n" * 3000)
        self.lines(1)
        self.cluster.asked.clear()
        self.typist.connection.buffer_size = 1000
        self.typist.type("getall\n0\n")
        self.typist.advance(10)
        self.assertEqual(["jobs "], self.cluster.asked)
        lines: list[str] = []
        for _ in range(20):
            lines += self.lines(0.3)
        self.assertEqual([ticket(n) for n in range(3000)], [line.split()[0] for line in lines[:-2]])
        self.assertEqual(["Jobs: 3000", f"Ticket ID: {ticket(3000)}"], lines[-2:])

    def test_hung_up(self) -> None:
        """
        Whoever hangs up in the middle gets no more pages.
        """
        self.typist.type("0\n" * 1000)
        self.lines(1)
        self.typist.connection.buffer_size = 1000
        self.typist.type("getall\n")
        self.typist.advance(1)
        self.cluster.asked.clear()
        self.typist.hang_up()
        self.typist.advance(10)
        self.assertEqual([], self.cluster.asked)

    def test_sick_store(self) -> None:
        """
        A list that cannot be read says why.
        """
        self.cluster.failure = StoreFullError()
        self.assertEqual([f"Error: {StoreFullError()}"], self.typist.ask("getall\n"))

    def test_thousands_of_pages(self) -> None:
        """
        Pages that are there at once do not pile up.
        """
        self.cluster.delay = 0
        self.typist.type("0\n" * 50_000)
        self.typist.read()
        self.assertEqual(50_001, len(self.typist.ask("getall\n")))
