"""
A command with output, in a cluster in memory.
"""

from functools import partial

import attrs

from jobcluster.core.commands import COMMAND, Command, pack_command
from jobcluster.core.values import Outcome, Spec, Status
from tests.consoles.cases import SessionCase
from tests.consoles.rig import FIRST_JOB, MOST, TICK, ticket

PATTERN = bytes(range(256)) * (MOST // 256 + 1)


def pattern(offset: int, limit: int, size: int) -> bytes:
    """
    A piece of so many bytes in which each value comes in its turn.
    """
    begins = offset % 256
    return PATTERN[begins : begins + min(limit, size - offset)]


class OutputCase(SessionCase):
    """
    A cluster in which the first job is a command.
    """

    def setUp(self) -> None:
        """
        Submit it.
        """
        super().setUp()
        self.cluster.delay = 0
        self.cluster.submit([Spec(COMMAND, pack_command(Command((b"true",))))])
        self.cluster.asked.clear()
        self.cluster.delay = 2 * TICK

    def end(self, out: bytes = b"", err: bytes = b"") -> None:
        """
        Have the command end, with little output.
        """
        outcome = Outcome(Status.SUCCEEDED, 0, out=out, err=err)
        self.cluster.end(
            FIRST_JOB, outcome._replace(out_size=len(out), err_size=len(err), node="beta")
        )

    def begin_anew(self) -> None:
        """
        Have the command be lost, and started again.
        """
        row = self.cluster.table[FIRST_JOB]
        self.cluster.table[FIRST_JOB] = attrs.evolve(row, attempts=row.attempts + 1)
        self.cluster.speech.forget(FIRST_JOB)

    def end_large(self, out_size: int, err_size: int) -> None:
        """
        Have the command end, with much output: a pattern in both streams.
        """
        outcome = Outcome(Status.SUCCEEDED, 0, out_size=out_size, err_size=err_size)
        self.cluster.end(FIRST_JOB, outcome)
        for stream, size in (("out", out_size), ("err", err_size)):
            self.cluster.files[ticket(0), stream] = partial(pattern, size=size)

    def heard(self, seconds: float = 2 * TICK) -> bytes:
        """
        Let time pass, and take what was said.
        """
        self.typist.advance(seconds)
        return self.typist.read_bytes()
