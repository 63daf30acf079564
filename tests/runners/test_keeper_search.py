"""
Keepers that are found, and of what use they are.
"""

from __future__ import annotations

import signal

from twisted.internet.defer import CancelledError

from jobcluster.errors import KeeperError
from tests.runners.keeper_rig import LoggedCase


class SearchTests(LoggedCase):
    """
    Keepers that are found, and are of no use.
    """

    def found(self, seconds: float) -> str:
        """
        Ask for the inventory; the keeper's id.
        """
        asked = self.runner.inventory()
        self.go_on(seconds)
        return self.successResultOf(asked)[0]

    def test_old_version(self) -> None:
        """
        One that speaks another version is told of in one line, ended and replaced.
        """
        self.place.come_up().speaks = [7, 9]
        self.assertEqual("keeper-2", self.found(0.3))
        self.assertEqual([(1, signal.SIGTERM)], self.place.signals)
        [line] = self.warnings
        self.assertIn("speaks version 7, 9 of the protocol, not 1", line)

    def test_old_version_that_stays(self) -> None:
        """
        If it does not end in the time that its jobs have, and two seconds, it is killed.
        """
        old = self.place.come_up()
        old.speaks, old.is_stubborn = [7], True
        asked = self.runner.inventory()
        self.go_on(6.9)
        self.assertEqual([(1, signal.SIGTERM)], self.place.signals)
        self.go_on(0.5)
        self.assertEqual([(1, signal.SIGTERM), (1, signal.SIGKILL)], self.place.signals)
        self.assertEqual("keeper-2", self.successResultOf(asked)[0])

    def test_newer_version(self) -> None:
        """
        One that speaks more versions than this node is as good as any.
        """
        self.place.come_up().speaks = [1, 2]
        self.assertEqual("keeper-1", self.found(0.1))

    def test_silent(self) -> None:
        """
        One that takes the connection and says nothing for eleven seconds is killed and replaced.
        """
        self.place.come_up().is_frozen = True
        self.assertEqual("keeper-2", self.found(11.5))
        self.assertEqual([(1, signal.SIGKILL)], self.place.signals)

    def test_unreachable(self) -> None:
        """
        So is one that takes no connection.
        """
        self.place.come_up()
        self.place.takes_connections = False
        asked = self.runner.inventory()
        self.go_on(10.9)
        self.assertEqual(0, self.place.launched)
        self.go_on(0.2)
        self.assertEqual([(1, signal.SIGKILL)], self.place.signals)
        self.place.takes_connections = True
        self.go_on(0.3)
        self.assertEqual("keeper-2", self.successResultOf(asked)[0])

    def test_taken(self) -> None:
        """
        If another keeper was faster than the one that was started, that one is taken.
        """
        self.place.failures = [3]
        self.clock.callLater(0.005, self.place.come_up)
        self.assertEqual("keeper-1", self.found(0.3))
        self.assertEqual(1, self.place.launched)

    def test_none_to_be_had(self) -> None:
        """
        A keeper that ends at once, or cannot be started, is an error of one line.
        """
        for failure, line in ((1, "status 1: see /nowhere/log"), (None, "No keeper can be")):
            self.place.failures = [failure]
            asked = self.runner.inventory()
            self.go_on(0.3)
            self.assertIn(line, str(self.failureResultOf(asked, KeeperError).value))

    def test_none_comes_up(self) -> None:
        """
        A keeper that does not come up in eleven seconds is an error of one line.
        """
        self.place.failures = [3] * 2000
        asked = self.runner.inventory()
        self.go_on(10.9)
        self.assertNoResult(asked)
        self.go_on(0.2)
        error = self.failureResultOf(asked, KeeperError).value
        self.assertEqual("No keeper has come up in 11 s: see /nowhere/log.", str(error))

    def test_no_frames(self) -> None:
        """
        One that says no words at all, but something, is ended and replaced.
        """
        self.place.come_up().is_mute = True
        asked = self.runner.inventory()
        self.go_on(0.1)
        self.keeper.babble(b"\xff" * 8)
        self.go_on(0.3)
        self.assertEqual("keeper-2", self.successResultOf(asked)[0])
        [line] = self.warnings
        self.assertIn("says what is not understood", line)

    def test_closed_while_asking(self) -> None:
        """
        A node that ends while it waits for the inventory ends the connection.
        """
        self.place.come_up().is_mute = True
        asked = self.runner.inventory()
        self.go_on(0.1)
        self.runner.close()
        self.settle()
        self.assertNoResult(asked)
        self.assertTrue(self.place.transports[-1].disconnecting)

    def test_given_up(self) -> None:
        """
        Who asked for the inventory may lose interest.
        """
        asked = self.runner.inventory()
        self.go_on(0.01)
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.go_on(0.1)

    def test_finished_while_one_starts(self) -> None:
        """
        A keeper that has not come up yet is ended, too.
        """
        asked = self.runner.inventory()
        self.go_on(0.01)
        self.successResultOf(self.runner.finish())
        self.assertEqual(-signal.SIGTERM, self.place.processes[-1].poll())
        self.go_on(0.1)
        self.assertNoResult(asked)
