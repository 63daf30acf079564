"""
Functions that are to end, and what may happen to their workers and keepers.
"""

from __future__ import annotations

import os
import signal

from jobcluster.core.functions import named
from jobcluster.keeper.frames import pack_frame
from tests.keeper.client import below, eventually, held_by, runs_now
from tests.keeper.function_cases import FunctionCase


class EndingTests(FunctionCase):
    """
    Functions that are to end.
    """

    settings = {"max_output": 1_000_000}

    def test_time_limit(self) -> None:
        """
        A function that takes longer than it may is ended, its worker and all, however stubborn.
        """
        said = self.state / "said"
        for name in ("linger", "stubborn"):
            status, _, detail, *_ = self.call(name, str(said), limit=0.5)
            self.assertEqual("timed-out", status)
            self.assertIn("its limit of 0.5 s", detail)
        self.assertEqual(set(), below(self.k.process.pid))
        self.assertIsInstance(self.value("pid", limit=5), int)

    def test_cancelled(self) -> None:
        """
        A cancelled function ends with its worker; so does one that is dropped.
        """
        ref, pid = self.linger()
        self.n.say("stop", refs=[ref])
        self.assertEqual("cancelled", self.n.end_of(ref)[0]["status"])
        self.assertFalse(runs_now(pid))
        ref, pid = self.linger()
        self.n.say("drop", refs=[ref])
        while (frame := self.n.hear()).word != "dropped":
            self.assertNotEqual("ended", frame.word)
        self.assertEqual([ref], frame.head["refs"])
        self.assertFalse(runs_now(pid))

    def test_too_much_output(self) -> None:
        """
        A function that puts out more than it may has failed, and the next one is not affected.
        """
        status, _, detail, out, *_ = self.call("flood", 3_000_000)
        self.assertEqual(("failed", b""), (status, out))
        self.assertIn("its output was over the limit", detail)
        self.assertIsInstance(self.value("pid"), int)

    def test_killed(self) -> None:
        """
        A worker that somebody kills is replaced, busy or idle; only what it was calling fails.
        """
        ref, pid = self.linger()
        os.kill(pid, signal.SIGKILL)
        outcome, _ = self.n.end_of(ref)
        self.assertEqual(("failed", -9), (outcome["status"], outcome["code"]))
        self.n.frames.clear()
        for _ in range(5):
            pid = self.value("pid")
            os.kill(pid, signal.SIGKILL)
            eventually(lambda pid=pid: not runs_now(pid), "it does not end")  # type: ignore[misc]

    def test_another_node(self) -> None:
        """
        Another node finds a function running, and hears what it returns.
        """
        ref, pid = self.linger()
        other = self.node(self.k, kill_after=0.2)
        self.assertEqual([(ref, "running")], [(h.head["ref"], h.head["state"]) for h in other.held])
        self.assertTrue(runs_now(pid))
        other.say("stop", refs=[ref])
        self.assertEqual("cancelled", other.end_of(ref)[0]["status"])

    def test_lease(self) -> None:
        """
        A function whose lease is over is refused.
        """
        ref = self.n.begin(self.function("pid"), until=0.0)
        self.assertEqual([ref], self.n.expect("refused").head["refs"])

    def test_keeper_killed(self) -> None:
        """
        What an earlier keeper had called is ended and lost; its idle workers end by themselves.
        """
        idle = self.value("pid")
        once, once_pid = self.linger(once=True)
        self.assertEqual(idle, once_pid)
        ref, pid = self.linger()
        spare, spare_pid = self.linger()
        self.n.say("stop", refs=[spare])
        self.n.end_of(spare)
        self.k.kill()
        node = self.node(self.keeper())
        self.assertEqual(
            [(once, "lost", "keeper-died"), (ref, "lost", "keeper-died")], held_by(node)[1:3]
        )
        eventually(lambda: not any(map(runs_now, (idle, pid, spare_pid))), "a worker is left")

    def test_keeper_killed_early(self) -> None:
        """
        A worker is known by its environment to whom nothing else tells what it does.
        """
        _, pid = self.linger()
        self.k.kill()
        spool = self.directory / "spool"
        lines = spool.read_bytes().splitlines(keepends=True)
        spool.write_bytes(b"".join(line for line in lines if b'"running"' not in line))
        self.node(self.keeper())
        self.assertFalse(runs_now(pid))

    def test_end(self) -> None:
        """
        A keeper that ends takes its workers with it, with a function or without.
        """
        idle = self.value("pid")
        self.n.say("end")
        self.n.close()
        self.assertEqual(0, self.k.wait())
        eventually(lambda: not runs_now(idle), "a worker is left")

    def test_large_arguments(self) -> None:
        """
        Arguments of any size get there, and the keeper goes on meanwhile.
        """
        text = "x" * 20_000_000
        call = named("builtins:len", [text])
        self.n.socket.sendall(pack_frame("ping") + pack_frame("ping"))
        ref = self.n.begin(call)
        self.assertEqual(b"20000000", self.n.end_of(ref)[1])
