"""
How a keeper begins and ends: its lock, its socket, its directory, and those that are alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from jobcluster.keeper.facts import process
from tests.keeper.cases import KeeperCase
from tests.keeper.client import Keeper, eventually, held_by, of_node


class BeginTests(KeeperCase):
    """
    How a keeper begins.
    """

    def test_second(self) -> None:
        """
        A second keeper in the same directory is refused with status 3 and one line.
        """
        first = self.keeper()
        node = self.node(first)
        before = first.log
        second = self.keeper()
        self.assertEqual(3, second.wait())
        [line] = second.log[len(before) :].splitlines()
        self.assertIn(f"Another keeper uses {self.directory}; it goes on.", line)
        node.say("ping")
        node.expect("pong")

    def test_long_path(self) -> None:
        """
        In a directory whose path is too long for a socket, the socket is elsewhere, and removed.
        """
        runtime = self.state / "run"
        runtime.mkdir()
        self.state /= "x" * 200
        environment = {"XDG_RUNTIME_DIR": str(runtime)}
        first = Keeper(self.state, self.name, environment=environment)
        self.addCleanup(first.clean_up)
        node = self.node(first)
        self.assertEqual(b"/", node.run("pwd")[1][:1])
        path = Path(first.lock()["socket"])
        self.assertEqual(runtime, path.parent.parent)
        self.assertEqual(0o700, path.parent.stat().st_mode & 0o777)
        first.kill()
        second = Keeper(self.state, self.name, environment=environment)
        self.addCleanup(second.clean_up)
        node = self.node(second)
        self.assertFalse(path.exists())
        node.say("end")
        node.close()
        self.assertEqual(0, second.wait())
        self.assertEqual([], list(runtime.iterdir()))

    def test_private(self) -> None:
        """
        All that a keeper makes is for its user alone.
        """
        self.node(self.keeper()).run("echo", "x")
        for path in [self.directory, *self.directory.rglob("*")]:
            if path.name not in ("log", "socket"):
                self.assertEqual(0, path.stat().st_mode & 0o077, path)

    def test_unusable(self) -> None:
        """
        A path that can be no directory gets one line and status 1; a wrong command line too.
        """
        for arguments, said in (
            (["/proc/nothing"], "/proc/nothing/keeper cannot be used"),
            ([], "Usage:"),
            (["--idle", "x", "y"], "Usage:"),
            (["--wrong"], "Usage:"),
        ):
            ended = subprocess.run(
                [sys.executable, "-m", "jobcluster.keeper", *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=10,
            )
            self.assertEqual(1, ended.returncode)
            self.assertEqual(1, len(ended.stdout.splitlines()), ended.stdout)
            self.assertIn(said, ended.stdout)

    def test_few_imports(self) -> None:
        """
        A keeper imports nothing that is installed, and of the package only itself.
        """
        script = (
            "import sys, jobcluster.keeper.__main__\n"
            "print(*{n.split('.')[0] for n in sys.modules} - sys.stdlib_module_names)\n"
            "print(*(n for n in sys.modules if n.startswith('jobcluster.')))\n"
        )
        ended = subprocess.run(
            [sys.executable, "-S", "-c", script],
            env={"PYTHONPATH": os.pathsep.join([str(_ROOT)])},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=10,
        )
        top, ours = ended.stdout.splitlines()
        self.assertEqual({"jobcluster", "__main__"}, set(top.split()) | {"__main__"})
        self.assertEqual(set(), {n for n in ours.split() if not n.startswith("jobcluster.keeper")})


class EndTests(KeeperCase):
    """
    What ends a keeper.
    """

    def test_end(self) -> None:
        """
        The word I{end} stops every run, tells the ends, and then the keeper ends.
        """
        keeper = self.keeper()
        node = self.node(keeper)
        refs = [node.start("sleep", "1000") for _ in range(3)]
        node.say("end")
        late = node.start("true")
        for ref in refs:
            self.assertEqual("cancelled", node.end_of(ref)[0]["status"])
        refused = [frame.head["refs"] for frame in node.frames if frame.word == "refused"]
        self.assertEqual([[late]], refused)
        node.close()
        self.assertEqual(0, keeper.wait())
        self.assertEqual([], of_node(self.name))
        self.assertFalse((self.directory / "socket").exists())
        self.assertEqual(refs, [ref for ref, _, _ in held_by(self.node(self.keeper()))])

    def test_end_with_a_node_that_stays(self) -> None:
        """
        It does so too if its node stays connected.
        """
        keeper = self.keeper()
        node = self.node(keeper)
        node.say("end")
        self.assertRaises(EOFError, node.hear)
        self.assertEqual(0, keeper.wait())

    def test_sigterm(self) -> None:
        """
        SIGTERM is like I{end}.
        """
        keeper = self.keeper()
        node = self.node(keeper)
        ref = node.start("sleep", "1000")
        node.expect("started")
        keeper.process.terminate()
        self.assertEqual("cancelled", node.end_of(ref)[0]["status"])
        node.close()
        self.assertEqual(0, keeper.wait())

    def test_terminals(self) -> None:
        """
        What a terminal sends is ignored.
        """
        keeper = self.keeper()
        node = self.node(keeper)
        for number in (1, 2):
            keeper.process.send_signal(number)
        self.assertEqual("succeeded", node.run("true")[0]["status"])

    def test_idle(self) -> None:
        """
        Without a node and without runs it ends, after a while; what has ended stays in the spool.
        """
        keeper = self.keeper("--idle", "0.1")
        node = self.node(keeper)
        ref = node.start("sleep", "0.3")
        node.expect("started")
        node.close()
        self.assertEqual(0, keeper.wait())
        self.assertEqual([(ref, "succeeded", "")], held_by(self.node(self.keeper())))

    def test_directory_removed(self) -> None:
        """
        When its directory is removed it kills its runs and ends.
        """
        self.state_is_gone(lambda: shutil.rmtree(self.state))

    def test_directory_replaced(self) -> None:
        """
        When another directory stands in its place it does so too, and leaves that one alone.
        """

        def replace() -> None:
            self.directory.rename(self.state / "old")
            self.directory.mkdir()
            (self.directory / "socket").touch()

        self.state_is_gone(replace)
        self.assertTrue((self.directory / "socket").exists())

    def state_is_gone(self, make_it: object) -> None:
        """
        See that a keeper ends when that is done.
        """
        keeper = self.keeper()
        node = self.node(keeper)
        out = node.start("sh", "-c", "setsid sleep 1000 & trap '' TERM; sleep 1000")
        self.assertEqual([out], node.expect("started").head["refs"])
        eventually(lambda: len(of_node(self.name)) == 3, "the run does not start")
        if callable(make_it):
            make_it()
        self.assertEqual(0, keeper.wait())
        self.assertEqual([], of_node(self.name))

    def test_frozen(self) -> None:
        """
        A keeper that stood still goes on where it was.
        """
        keeper = self.keeper()
        node = self.node(keeper)
        ref = node.start("sh", "-c", self.wait_for("go") + "; exit 3")
        node.expect("started")
        keeper.freeze()
        (self.state / "go").touch()
        eventually(lambda: not of_node(self.name), "the run does not end")
        self.assertIsNotNone(process(keeper.process.pid))
        keeper.thaw()
        self.assertEqual(3, node.end_of(ref)[0]["code"])


_ROOT = Path(__file__).resolve().parent.parent.parent
