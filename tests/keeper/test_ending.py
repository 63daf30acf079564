"""
Runs that are to end, and what would be left of them.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from jobcluster.keeper.frames import pack_frame
from tests.keeper.cases import KeeperCase
from tests.keeper.client import eventually, of_node, runs_now

# Starts what the first argument is in the background, by a process that is gone at once, and in a
# session and a group of its own; tells its pid.
DAEMON = """
import os, sys, time
reading, writing = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.write(writing, b"%d" % os.getpid())
    os.close(writing)
    if sys.argv[1] == "bare":
        os.execve("/bin/sleep", ["sleep", "1000"], {})
    os.execvp("sleep", ["sleep", "1000"])
os.close(writing)
pid = os.read(reading, 20)
print(pid.decode(), flush=True)
if sys.argv[2:]:
    os.execvp(sys.argv[2], sys.argv[2:])
"""


class StopTests(KeeperCase):
    """
    Stopped and dropped.
    """

    def setUp(self) -> None:
        """
        Start a keeper.
        """
        super().setUp()
        self.k = self.keeper()
        self.n = self.node(self.k, kill_after=0.2)

    def test_another_group(self) -> None:
        """
        A run that has put itself into the group of the keeper is stopped and dropped all the same.
        """
        leave = "import os, time; os.setpgid(0, os.getpgid(os.getppid())); print(flush=True)"
        for word in ("stop", "drop"):
            ref = self.n.start(
                sys.executable,
                "-c",
                f"{leave}; open({word!r}, 'w'); time.sleep(1000)",
                directory=bytes(self.state),
            )
            self.n.expect("started")
            self.appears(word)
            self.n.say(word, refs=[ref])
            if word == "stop":
                self.assertEqual("cancelled", self.n.end_of(ref)[0]["status"])
            else:
                self.assertEqual([ref], self.n.expect("dropped").head["refs"])
        self.assertNothingLeft(self.k)

    def file(self, name: str) -> Path:
        """
        A file that a run writes to say that it has come so far.
        """
        return self.state / name

    def appears(self, name: str) -> None:
        """
        Wait for such a file.
        """
        eventually(self.file(name).exists, f"{name} does not appear")

    def test_stop(self) -> None:
        """
        SIGTERM goes to the whole group, and the end of a stopped run is that it was cancelled.
        """
        ref = self.n.start("sh", "-c", "sleep 1000 & sleep 1000 & wait")
        self.n.expect("started")
        eventually(lambda: len(of_node(self.name)) == 3, "the sleeps do not run")
        self.n.say("stop", refs=[ref])
        outcome = self.n.expect("ended").head["outcome"]
        self.assertEqual(("cancelled", -15, ""), tuple(outcome[k] for k in _ENDED))
        self.assertNothingLeft(self.k)

    def test_ends_by_itself(self) -> None:
        """
        A run that ends in its own way when it is stopped has its exit code, and was cancelled.
        """
        script = f"trap 'exit 7' TERM; touch {self.file('ready')}; while :; do sleep 0.01; done"
        ref = self.n.start("sh", "-c", script)
        self.appears("ready")
        self.n.say("stop", refs=[ref])
        outcome, _ = self.n.end_of(ref)
        self.assertEqual(("cancelled", 7, ""), tuple(outcome[k] for k in _ENDED))

    def test_ignores_sigterm(self) -> None:
        """
        SIGKILL follows to what ignores SIGTERM, after the time that the node said.
        """
        script = f"trap '' TERM; touch {self.file('ready')}; while :; do sleep 0.01; done"
        ref = self.n.start("sh", "-c", script)
        self.appears("ready")
        begin = time.monotonic()
        self.n.say("stop", refs=[ref])
        outcome, _ = self.n.end_of(ref)
        self.assertEqual(("cancelled", -9, ""), tuple(outcome[k] for k in _ENDED))
        self.assertGreaterEqual(time.monotonic() - begin, 0.2)
        self.assertNothingLeft(self.k)

    def test_stopped_process(self) -> None:
        """
        A process that SIGSTOP holds can be stopped as well.
        """
        ref = self.n.start("sh", "-c", f"touch {self.file('ready')}; kill -STOP $$; exit 1")
        self.appears("ready")
        self.n.say("stop", refs=[ref])
        outcome, _ = self.n.end_of(ref)
        self.assertEqual("cancelled", outcome["status"])

    def test_stop_what_is_not_there(self) -> None:
        """
        What is not held, or has ended, is not stopped, and that is no mistake.
        """
        ref = self.n.start("true")
        self.assertEqual("succeeded", self.n.end_of(ref)[0]["status"])
        self.n.frames.clear()
        self.n.say("stop", refs=[ref, self.n.ref()])
        self.n.say("ping")
        self.n.expect("pong")

    def test_drop_running(self) -> None:
        """
        A dropped run is killed at once, its output is forgotten, and nothing of it is told.
        """
        script = f"trap '' TERM; echo x; touch {self.file('ready')}; while :; do sleep 0.01; done"
        ref = self.n.start("sh", "-c", script)
        self.n.expect("started")
        self.appears("ready")
        self.n.say("drop", refs=[ref])
        self.assertEqual([ref], self.n.expect("dropped").head["refs"])
        self.assertNothingLeft(self.k)
        self.assertEqual(([], []), (self.names("runs"), self.names("work")))
        self.assertEqual([], self.node(self.k).held)

    def test_drop_unknown(self) -> None:
        """
        What is not held is dropped already.
        """
        ref = self.n.ref()
        self.n.say("drop", refs=[ref])
        self.assertEqual([ref], self.n.expect("dropped").head["refs"])

    def test_dropped_by_a_node_that_went(self) -> None:
        """
        If another node comes before all of a dropped run is gone, it hears how that ended.
        """
        for _ in range(10):
            node = self.node(self.k)
            ref = node.start("sleep", "1000")
            node.expect("started")
            drop, ping = pack_frame("drop", {"refs": [ref]}), pack_frame("ping")
            node.socket.sendall(drop + ping)
            while node.hear().word != "pong":
                pass
            other = self.node(self.k)
            held = [frame.head["state"] for frame in other.held]
            if held:
                self.assertEqual(["running"], held)
                outcome, _ = other.end_of(ref)
                self.assertEqual(("cancelled", -9), (outcome["status"], outcome["code"]))
                other.say("drop", refs=[ref])
                other.expect("dropped")


_ENDED = ("status", "code", "detail")


class StrayTests(KeeperCase):
    """
    What leaves its group, or outlives its leader.
    """

    def setUp(self) -> None:
        """
        Start a keeper.
        """
        super().setUp()
        self.k = self.keeper()
        self.n = self.node(self.k)

    def daemon(self, *arguments: str) -> tuple[list[object], int]:
        """
        Run L{DAEMON} until its leader sleeps; its ref, and the pid of the daemon.
        """
        ref = self.n.start(sys.executable, "-c", DAEMON, *arguments, "sleep", "1000")
        number = self.n.expect("started").head["refs"].index(ref)
        self.assertEqual(0, number)
        runs = self.directory / "runs"

        def told() -> list[int]:
            found = [path.read_text() for path in runs.glob("*.out")]
            return [int(text) for text in found if text.endswith("\n")]

        known = set(self.daemons)
        eventually(lambda: set(told()) - known, "the daemon does not start")
        [pid] = set(told()) - known
        self.daemons.append(pid)
        self.addCleanup(_kill, pid)
        return ref, pid

    @property
    def daemons(self) -> list[int]:
        """
        Those that were started.
        """
        found = self.__dict__.setdefault("_daemons", [])
        if not isinstance(found, list):
            raise TypeError
        return found

    def test_background(self) -> None:
        """
        A background process in the group of its leader ends with it.
        """
        outcome, out, _ = self.n.run("sh", "-c", "sleep 1000 & echo $!")
        self.assertEqual("succeeded", outcome["status"])
        self.assertFalse(runs_now(int(out)))

    def test_setsid(self) -> None:
        """
        A process in a session of its own ends with its leader, before the end is told.
        """
        outcome, out, _ = self.n.run("sh", "-c", "setsid sleep 1000 & echo $!")
        self.assertEqual("succeeded", outcome["status"])
        self.assertFalse(runs_now(int(out)))
        self.assertNothingLeft(self.k)

    def test_own_group(self) -> None:
        """
        A process in a group of its own ends with its leader.
        """
        outcome, out, _ = self.n.run("sh", "-c", "set -m; sleep 1000 & echo $!")
        self.assertEqual("succeeded", outcome["status"])
        self.assertFalse(runs_now(int(out)))

    def test_double_fork(self) -> None:
        """
        A daemon ends with the leader of its run, with its environment and without one.
        """
        for kind in ("marked", "bare"):
            ref = self.n.start(sys.executable, "-c", DAEMON, kind)
            outcome, body = self.n.end_of(ref)
            self.assertEqual("succeeded", outcome["status"])
            self.assertFalse(runs_now(int(body)))
            self.assertNothingLeft(self.k)

    def test_daemons_of_two(self) -> None:
        """
        A daemon lives as long as its own leader, whatever other runs do.
        """
        for kind in ("marked", "bare"):
            one, one_pid = self.daemon(kind)
            two, two_pid = self.daemon(kind)
            self.n.say("stop", refs=[one])
            self.n.end_of(one)
            self.assertTrue(runs_now(two_pid))
            if kind == "marked":
                self.assertFalse(runs_now(one_pid))
            self.n.say("stop", refs=[two])
            self.n.end_of(two)
            self.assertEqual((False, False), (runs_now(one_pid), runs_now(two_pid)))
            self.assertNothingLeft(self.k)

    def test_family(self) -> None:
        """
        A whole tree that has left the group ends, however deep.
        """
        script = "setsid sh -c 'setsid sh -c \"sleep 1000 & sleep 1000\" & sleep 1000' & sleep 0.1"
        outcome, _, _ = self.n.run("sh", "-c", script)
        self.assertEqual("succeeded", outcome["status"])
        self.assertNothingLeft(self.k)

    def test_forking_fast(self) -> None:
        """
        What forks all the time and changes its session each time ends too.
        """
        script = (
            "import os, time\n"
            "if os.fork() == 0:\n"
            "    end = time.monotonic() + 5\n"
            "    while time.monotonic() < end:\n"
            "        if os.fork():\n"
            "            os._exit(0)\n"
            "        os.setsid()\n"
        )
        outcome, _, _ = self.n.run(sys.executable, "-c", script)
        self.assertEqual("succeeded", outcome["status"])
        self.assertNothingLeft(self.k)

    def test_strays_of_a_dropped_run(self) -> None:
        """
        What is told to be dropped is gone, with what has left its group.
        """
        ref, pid = self.daemon("marked")
        self.n.say("drop", refs=[ref])
        self.assertEqual([ref], self.n.expect("dropped").head["refs"])
        self.assertFalse(runs_now(pid))
        self.assertNothingLeft(self.k)


def _kill(pid: int) -> None:
    if runs_now(pid):
        os.kill(pid, signal.SIGKILL)
