"""
What a real keeper does about the one before it.
"""

from __future__ import annotations

import subprocess
import sys

from jobcluster.keeper.spool import pack_entry, read_entries
from tests.keeper.cases import KeeperCase
from tests.keeper.client import Keeper, Node, end_child, eventually, held_by, of_node, runs_now
from tests.keeper.test_ending import DAEMON


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
            self.addCleanup(end_child, other)
            others.append(other)
        self.k.kill()
        # Another process that has the number of a run by chance was not started at its time.
        entries, _ = read_entries((self.directory / "spool").read_bytes())
        [running] = [entry for entry in entries if entry["entry"] == "running"]
        self.assertEqual(pid, running["pid"])
        by_chance = subprocess.Popen(["/bin/sleep", "1000"])
        self.addCleanup(end_child, by_chance)
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
