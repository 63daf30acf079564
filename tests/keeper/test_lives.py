"""
How a real keeper begins and ends, and what it does about the one before it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from jobcluster.keeper.facts import process
from jobcluster.keeper.spool import pack_entry, read_entries
from tests.keeper.cases import KeeperCase
from tests.keeper.client import Keeper, Node, eventually, of_node, runs_now
from tests.keeper.test_ending import DAEMON


def held_by(node: Node) -> list[tuple[object, str, str]]:
    """
    Refs of an inventory, with status and detail of their outcomes.
    """
    return [
        (held.head["ref"], held.head["outcome"]["status"], held.head["outcome"]["detail"])
        for held in node.held
    ]


class SuccessorTests(KeeperCase):
    """
    A keeper after one that was killed.
    """

    def setUp(self) -> None:
        """
        Start a keeper, and a node.
        """
        super().setUp()
        self.k = self.keeper()
        self.n = self.node(self.k)

    def successor(self) -> Node:
        """
        Kill the keeper; a node of the next one.
        """
        self.k.kill()
        self.k = self.keeper()
        return self.node(self.k)

    def pids(self, count: int) -> list[int]:
        """
        The pids that so many runs have written into their output.
        """
        runs = self.directory / "runs"

        def told() -> list[int]:
            texts = [path.read_text() for path in runs.glob("*.out")]
            return [int(text) for text in texts if text.endswith("\n")]

        eventually(lambda: len(told()) == count, "the runs do not start")
        return told()

    def test_ends_what_ran(self) -> None:
        """
        What ran under a keeper that was killed is ended first, and then told as lost.
        """
        refs = [self.n.start("sh", "-c", "sleep 1000 & echo $!; wait") for _ in range(3)]
        pids = self.pids(3)
        after = self.successor()
        self.assertEqual([(ref, "lost", "keeper-died") for ref in refs], held_by(after))
        self.assertEqual([], of_node(self.name))
        self.assertEqual([False] * 3, [runs_now(pid) for pid in pids])
        self.assertEqual(([], []), (self.names("runs"), self.names("work")))
        self.assertIn("an earlier keeper died: 3 runs", self.k.log)
        for held in after.held:
            self.assertLess(0, held.head["outcome"]["started"])

    def test_keeps_what_had_ended(self) -> None:
        """
        What had ended is told as it was, with its output, and what was dropped is not.
        """
        ref = self.n.start("sh", "-c", "echo out; exit 3")
        outcome, body = self.n.end_of(ref)
        large = self.n.start("head", "-c", "100000", "/dev/zero")
        large_outcome, _ = self.n.end_of(large)
        dropped = self.n.start("true")
        self.n.end_of(dropped)
        self.n.frames.clear()
        self.n.say("drop", refs=[dropped])
        self.n.expect("dropped")
        after = self.successor()
        self.assertEqual([ref, large], [held.head["ref"] for held in after.held])
        self.assertEqual([outcome, large_outcome], [held.head["outcome"] for held in after.held])
        self.assertEqual([body, b""], [held.body for held in after.held])
        path = self.directory / "runs" / f"{large_outcome['run']}.out"
        self.assertEqual(100_000, path.stat().st_size)
        # What comes next does not touch it.
        self.assertEqual(b"next\n", after.run("echo", "next")[1])
        self.assertEqual(100_000, path.stat().st_size)

    def test_strays(self) -> None:
        """
        What has left its group is found by its environment, or below what is found so.
        """
        self.n.start(sys.executable, "-c", DAEMON, "marked", "sleep", "1000")
        script = "env -i sleep 1000 & echo $!; exec sleep 1000"
        self.n.start("sh", "-c", script)
        self.n.start("sh", "-c", f"setsid sh -c '{script}' & wait")
        self.n.expect("started")
        pids = self.pids(3)
        after = self.successor()
        self.assertEqual(3, len(after.held))
        self.assertEqual([False] * 3, [runs_now(pid) for pid in pids])
        self.assertEqual([], of_node(self.name))

    def test_leaves_others_alone(self) -> None:
        """
        Processes of other nodes, tickets and attempts are not touched, nor is one by its number.
        """
        self.n.start("sh", "-c", "echo $$; exec sleep 1000", ticket="t-1")
        [pid] = self.pids(1)
        mine = {
            "JOBCLUSTER_TICKET": "t-1",
            "JOBCLUSTER_ATTEMPT": "1",
            "JOBCLUSTER_NODE": self.name,
        }
        others = []
        for name, value in (("TICKET", "t-2"), ("ATTEMPT", "2"), ("NODE", "another")):
            environment = {**mine, f"JOBCLUSTER_{name}": value}
            other = subprocess.Popen(["/bin/sleep", "1000"], env=environment)
            self.addCleanup(_end, other)
            others.append(other)
        self.k.kill()
        # Another process that has the number of a run by chance was not started at its time.
        entries, _ = read_entries((self.directory / "spool").read_bytes())
        [running] = [entry for entry in entries if entry["entry"] == "running"]
        self.assertEqual(pid, running["pid"])
        by_chance = subprocess.Popen(["/bin/sleep", "1000"])
        self.addCleanup(_end, by_chance)
        running["pid"] = by_chance.pid
        (self.directory / "spool").write_bytes(b"".join(map(pack_entry, entries)))
        after = self.node(self.keeper())
        self.assertEqual(1, len(after.held))
        self.assertFalse(runs_now(pid))
        self.assertEqual([None] * 4, [other.poll() for other in [*others, by_chance]])

    def test_other_keeper(self) -> None:
        """
        A keeper of another state directory, and its runs, are left alone.
        """
        self.n.start("sh", "-c", "echo $$; exec sleep 1000", ticket="t-1")
        self.pids(1)
        other = Keeper(self.state / "other", self.name + "-other")
        self.addCleanup(other.clean_up)
        there = self.node(other)
        ref = there.start("sleep", "1000", ticket="t-1")
        there.expect("started")
        self.successor()
        there.say("ping")
        there.expect("pong")
        there.say("stop", refs=[ref])
        self.assertEqual("cancelled", there.end_of(ref)[0]["status"])

    def test_damaged_spool(self) -> None:
        """
        A spool that was cut, and has nonsense in it, gives what can be read, and one clear line.
        """
        refs = [self.n.start("true") for _ in range(3)]
        for ref in refs:
            self.n.end_of(ref)
        self.k.kill()
        spool = self.directory / "spool"
        lines = spool.read_bytes().splitlines(keepends=True)
        spool.write_bytes(lines[0] + b"\x00nonsense\n" + b"".join(lines[1:])[:-10])
        self.k = self.keeper()
        after = self.node(self.k)
        self.assertEqual(
            [(refs[0], "succeeded"), (refs[1], "succeeded"), (refs[2], "lost")],
            [(ref, status) for ref, status, _ in held_by(after)],
        )
        self.assertIn("the spool is damaged: 2 of its entries cannot be read", self.k.log)

    def test_other_boot(self) -> None:
        """
        Of a spool of another boot, the once-jobs are lost, and the rest is forgotten.
        """
        self.n.start("true")
        once = self.n.start("true", once=True)
        running = self.n.start("sh", "-c", "echo $$; exec sleep 1000", once=True)
        over = self.n.start("true", once=True, until=0.0)
        self.n.end_of(once)
        [pid] = self.pids(1)
        self.k.kill()
        spool = self.directory / "spool"
        entries, _ = read_entries(spool.read_bytes())
        entries[0]["boot"] = "another"
        spool.write_bytes(b"".join(map(pack_entry, entries)))
        self.k = self.keeper()
        after = self.node(self.k)
        self.assertEqual(
            [(once, "lost", "rebooted"), (running, "lost", "rebooted")], held_by(after)
        )
        self.assertNotIn(over, [held.head["ref"] for held in after.held])
        # Numbers and starts of another boot prove nothing.
        self.assertTrue(runs_now(pid))
        self.assertIn("the spool is of an earlier boot: 2 runs", self.k.log)

    def test_newer_spool(self) -> None:
        """
        A spool of a version that is not known is not touched; one line says what to do.
        """
        self.k.kill()
        spool = self.directory / "spool"
        entry = {"entry": "spool", "version": 2, "boot": "", "keeper": "", "next": 1}
        spool.write_bytes(pack_entry(entry))
        k = self.keeper()
        self.assertEqual(1, k.wait())
        self.assertIn("spool is of version 2 and not 1: run the jobcluster that wrote it", k.log)
        self.assertEqual(pack_entry(entry), spool.read_bytes())

    def test_compacted(self) -> None:
        """
        A spool that is mostly forgotten is written anew while the keeper runs.
        """
        spool = self.directory / "spool"
        kept = self.n.start("true")
        self.n.end_of(kept)
        self.n.frames.clear()
        largest = 0
        for _ in range(12):
            ref = self.n.start("true", ticket="x" * 500_000)
            self.n.end_of(ref)
            self.n.frames.clear()
            self.n.say("drop", refs=[ref])
            self.n.expect("dropped")
            largest = max(largest, spool.stat().st_size)
        self.assertLess(4 * 2**20, largest)
        eventually(lambda: spool.stat().st_size < 4 * 2**20, "the spool is not compacted")
        after = self.successor()
        self.assertEqual([kept], [held.head["ref"] for held in after.held])


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


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
