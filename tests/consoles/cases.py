"""
What the tests of sessions begin and end with.
"""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.consoles.rig import TICK, FakeCluster
from tests.consoles.typist import Typist


class SessionCase(SynchronousTestCase):
    """
    A session with a cluster that takes two ticks for everything.
    """

    def setUp(self) -> None:
        """
        Connect.
        """
        self.clock = Clock()
        self.cluster = FakeCluster(self.clock, delay=2 * TICK)
        self.typist = Typist(self.cluster)

    def tearDown(self) -> None:
        """
        See that nothing is left behind.
        """
        self.assertEqual([], self.typist.leave_nothing())

    def lines(self, seconds: float = 2 * TICK) -> list[str]:
        """
        Let time pass, and take the lines that were answered.
        """
        self.typist.advance(seconds)
        return self.typist.read().splitlines()


class ConsoleCase(SynchronousTestCase):
    """
    A session with a cluster that takes two ticks for everything.
    """

    def connect(self, prompt: str = "auto") -> Typist:
        """
        Connect, and see at the end that nothing is left behind.
        """
        typist = Typist(FakeCluster(Clock(), delay=2 * TICK), prompt)
        self.addCleanup(lambda: self.assertEqual([], typist.leave_nothing()))
        return typist

    def heard(self, typist: Typist, seconds: float = 2 * TICK) -> bytes:
        """
        Let time pass, and take what was said.
        """
        typist.advance(seconds)
        said: bytes = typist.connection.value()
        typist.connection.clear()
        return said
