"""
The diagrams in docs/machines are those of the machines.
"""

from twisted.trial.unittest import SynchronousTestCase

from tests.core.diagrams import DIRECTORY, MACHINES, draw


class DiagramTests(SynchronousTestCase):
    """
    What is drawn is what is there.
    """

    def test_drawn(self) -> None:
        """
        Each diagram is as C{python -m tests.core.diagrams} would draw it now.
        """
        for name in MACHINES:
            drawn = (DIRECTORY / f"{name}.dot").read_text(encoding="ascii")
            self.assertEqual(drawn, draw(name))

    def test_complete(self) -> None:
        """
        There is a diagram for every machine, and none of a machine that is gone.
        """
        self.assertEqual({path.stem for path in DIRECTORY.glob("*.dot")}, set(MACHINES))

    def test_what_is_done_is_shown(self) -> None:
        """
        A diagram says what a transition does.
        """
        self.assertIn("lost / record-loss, end-lost", draw("job"))
