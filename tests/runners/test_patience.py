"""
How long a keeper is waited for.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from jobcluster.runners.patience import Patience


class PatienceTests(SynchronousTestCase):
    """
    Time that is waited, and time that is not.
    """

    def test_over(self) -> None:
        """
        After the limit it has been too long, and looks come as often as that needs.
        """
        patience = Patience(1.25, 100.0)
        now, looks = 100.0, 0
        while True:
            due = now + patience.pause
            now, looks = due, looks + 1
            if patience.look(now, due):
                break
        self.assertAlmostEqual(101.25, now, 2)
        self.assertEqual(3, looks)

    def test_begun_anew(self) -> None:
        """
        A sign of life takes it all back.
        """
        patience = Patience(1.0, 0.0)
        self.assertFalse(patience.look(0.9, 0.5))
        patience.begin(0.9)
        self.assertFalse(patience.look(1.8, 1.4))
        self.assertTrue(patience.look(1.9, 1.9))

    def test_did_not_run(self) -> None:
        """
        Of a look that comes more than a second late, the time after it was due does not count.
        """
        patience = Patience(11.0, 0.0)
        self.assertFalse(patience.look(1000.0, 0.5))
        self.assertFalse(patience.look(1010.0, 1010.0))
        self.assertTrue(patience.look(1010.5, 1010.5))
