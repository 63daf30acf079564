"""
What functions leave behind in their workers.
"""

from __future__ import annotations

from jobcluster.core.functions import named
from tests.keeper.client import below, eventually
from tests.keeper.function_cases import FunctionCase


class LeftBehindTests(FunctionCase):
    """
    The next function is not affected by what the one before it has done to its worker.
    """

    def test_restored(self) -> None:
        """
        Directory, environment, umask and search path are as they were, in the same worker.
        """
        before = self.value("pid"), self.value("here")
        self.value("leave")
        self.assertEqual(before, (self.value("pid"), self.value("here")))

    def test_streams(self) -> None:
        """
        A function that closes its streams has closed its own alone.
        """
        for numbers in ((1,), (2,), (1, 2)):
            self.assertEqual("closed", self.value("close", *numbers))
            self.assertEqual(b"again\n", self.n.call(named("builtins:print", ["again"]))[1])
        self.value("close", 0)
        self.assertEqual("", self.value("tail"))
        self.value("unwritten")
        self.assertEqual((b"", b""), self.call("pid")[3:5])

    def test_threads(self) -> None:
        """
        A thread that is left ends, with its worker, before the end is told.
        """
        self.assertIsReplaced(lambda: self.value("thread"))

    def test_children(self) -> None:
        """
        A child that is left ends, be it in the background or a daemon.
        """
        self.assertIsReplaced(lambda: self.value("background"))
        self.assertIsReplaced(lambda: self.value("daemon"))

    def test_copy(self) -> None:
        """
        A copy of the worker that returns from the function, too, says nothing.
        """
        before = self.value("pid")
        self.assertEqual(before, self.value("copy"))
        eventually(lambda: len(below(self.k.process.pid)) < 2, "the copy is left")
        self.assertIsInstance(self.value("pid"), int)

    def test_signals(self) -> None:
        """
        Handlers and alarms that are left end with the worker.
        """
        self.assertIsReplaced(lambda: self.value("handler"))

    def test_channel(self) -> None:
        """
        A function that takes the worker's own socket away has failed.
        """
        for name in ("close", "reopen"):
            self.assertFailed("ended before the function had returned", name, 3, code=70)
            self.assertIsInstance(self.value("pid"), int)

    def test_nonsense(self) -> None:
        """
        A function that writes into the worker's own socket ends with its worker, and the keeper's
        log has a line about it.
        """
        self.assertFailed("ended before the function had returned", "nonsense", code=-9)
        self.assertIn("is killed, for what it has said: a frame is too long", self.k.log)
        self.assertIsInstance(self.value("pid"), int)

    def test_exit(self) -> None:
        """
        A function that ends its process, by itself or by a signal, has failed.
        """
        ended = "its process ended before the function had returned"
        self.assertIsReplaced(lambda: self.assertFailed(ended, "os._exit", 0, code=0))
        self.assertIsReplaced(lambda: self.assertFailed(ended, "os._exit", 7, code=7))
        self.assertIsReplaced(lambda: self.assertFailed(ended, "signal.raise_signal", 9, code=-9))

    def test_many(self) -> None:
        """
        A worker is replaced after a thousand functions.
        """
        before = self.value("pid")
        for _ in range(1000):
            self.n.begin(named("os:getpid")._replace(directory=bytes(self.state)))
            while self.n.hear().word != "ended":
                pass
        self.assertNotEqual(before, self.value("pid"))
        self.assertEqual(1, len(below(self.k.process.pid)))
