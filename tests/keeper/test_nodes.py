"""
Connections to a real keeper, and which of them it obeys.
"""

from __future__ import annotations

import os
import resource
import socket
import struct
import time
from pathlib import Path

from jobcluster.core.commands import Command, pack_command
from jobcluster.keeper.frames import VERSION, pack_frame
from tests.keeper.cases import KeeperCase
from tests.keeper.client import Keeper, Node, eventually, of_node


def boot_time() -> float:
    """
    Seconds of CLOCK_BOOTTIME.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class LeaseTests(KeeperCase):
    """
    Starts that come too late.
    """

    def setUp(self) -> None:
        """
        Start a keeper.
        """
        super().setUp()
        self.k = self.keeper()
        self.n = self.node(self.k)

    def test_over(self) -> None:
        """
        What comes after its lease is refused, not started, and not held.
        """
        for once in (False, True):
            made = self.state / "made"
            ref = self.n.start("touch", str(made), until=boot_time() - 0.001, once=once)
            self.assertEqual([ref], self.n.expect("refused").head["refs"])
            self.assertFalse(made.exists())
        self.assertEqual([], self.node(self.k).held)

    def test_over_in_between(self) -> None:
        """
        When a lease ends while a batch is being started, the rest is refused and its intents void.
        """
        for window in range(1, 200):
            started, refused = self.batch(window * 0.002)
            if started and refused:
                break
        else:
            self.fail("no lease has ended in the middle of a batch")
        self.k.kill()
        after = self.node(self.keeper())
        held = {tuple(frame.head["ref"]) for frame in after.held}
        self.assertEqual(set(), held & refused)
        self.assertEqual(started, held & started)

    def batch(self, window: float) -> tuple[set[object], set[object]]:
        """
        Have many once-jobs started, by leases of so many seconds; what was, and what was not.
        """
        self.k.freeze()
        until = boot_time() + window
        payload = pack_command(Command((b"true",)))
        heads = [self.n.head(until=until, once=True) for _ in range(100)]
        self.n.socket.sendall(b"".join(pack_frame("start", head, payload) for head in heads))
        self.k.thaw()
        found: dict[str, set[object]] = {"started": set(), "refused": set(), "ended": set()}
        while len(found["ended"] | found["refused"]) < len(heads):
            head = self.n.hear().head
            word = "ended" if "outcome" in head else "started" if "at" in head else "refused"
            found[word] |= {tuple(ref) for ref in head.get("refs", [head.get("ref")])}
        self.assertEqual(found["started"], found["ended"])
        return found["started"], found["refused"]


class ConnectionTests(KeeperCase):
    """
    Which node is obeyed.
    """

    def setUp(self) -> None:
        """
        Start a keeper.
        """
        super().setUp()
        self.k = self.keeper()

    def test_strangers(self) -> None:
        """
        Those who do not say who they are are few, and in nobody's way.
        """
        node = self.node(self.k)
        strangers = [self.k.connect() for _ in range(40)]
        self.assertEqual(0, node.run("true")[0]["code"])
        for stranger in strangers[:24]:
            self.assertEqual(b"", stranger.recv(1))
        for stranger in strangers[24:]:
            stranger.setblocking(False)
            self.assertRaises(BlockingIOError, stranger.recv, 1)
        for stranger in strangers:
            stranger.close()

    def test_too_many_files(self) -> None:
        """
        One who cannot be accepted costs nobody else anything.
        """
        node = self.node(self.k)
        resource.prlimit(self.k.process.pid, resource.RLIMIT_NOFILE, (16, 16))
        strangers = [self.k.connect() for _ in range(12)]
        eventually(lambda: "connections cannot be accepted" in self.k.log, "all are accepted")
        for stranger in strangers:
            stranger.close()
        node.say("ping")
        node.expect("pong")

    def test_greeting(self) -> None:
        """
        The keeper says who it is, as its lock does.
        """
        said = self.node(self.k).greeting
        lock = self.k.lock()
        self.assertEqual([VERSION], said["speaks"])
        self.assertEqual(self.k.process.pid, said["pid"])
        self.assertRegex(said["keeper"], "^[0-9a-f]{16}$")
        for name in ("pid", "boot", "keeper"):
            self.assertEqual(lock[name], said[name])
        self.assertEqual(str(self.directory / "socket"), lock["socket"])

    def test_newest(self) -> None:
        """
        A newer node closes the connection of an older one, and hears of what that has started.
        """
        older = self.node(self.k)
        ref = older.start("sleep", "1000")
        older.expect("started")
        newer = self.node(self.k)
        self.assertRaises(EOFError, older.hear)
        [held] = newer.held
        self.assertEqual((ref, "running"), (held.head["ref"], held.head["state"]))
        newer.say("stop", refs=[ref])
        self.assertEqual("cancelled", newer.end_of(ref)[0]["status"])

    def test_unread_words(self) -> None:
        """
        What lies unread on an older connection when a newer one says hello is never carried out.
        """
        made = self.state / "made"
        older = self.node(self.k)
        for _ in range(20):
            self.k.freeze()
            older.start("touch", str(made))
            newer = Node(self.k.connect())
            self.addCleanup(newer.close)
            newer.say("hello", speaks=[VERSION], node=self.name, environment={"PATH": "/bin"})
            self.k.thaw()
            newer.expect("hello")
            newer.expect("complete")
            # A whole run later it was not started either.
            ref = newer.start("true")
            newer.end_of(ref)
            self.assertFalse(made.exists())
            newer.frames.clear()
            newer.say("drop", refs=[ref])
            newer.expect("dropped")
            older = newer

    def test_ref_that_is_held(self) -> None:
        """
        A start of what is held already is ignored.
        """
        node = self.node(self.k)
        ref = node.start("sh", "-c", "echo x >> ../../../ran")
        node.end_of(ref)
        node.frames.clear()
        node.start("sh", "-c", "echo x >> ../../../ran", ref=ref)
        node.run("true")
        self.assertEqual("x\n", (self.state / "ran").read_text())

    def test_inventory(self) -> None:
        """
        All that is said of a run in an inventory.
        """
        node = self.node(self.k)
        more = {
            "job": 2**62,
            "kind": "command",
            "attempt": 3,
            "once": True,
            "suspect": True,
            "ticket": "a-1",
        }
        ref = node.start("sh", "-c", "exit 3", **more)
        outcome, _ = node.end_of(ref)
        [held] = self.node(self.k).held
        self.assertEqual(
            {**more, "ref": ref, "state": "ended", "outcome": outcome}
            | {"started": outcome["started"], "number": 1},
            held.head,
        )

    def test_large_inventory(self) -> None:
        """
        An inventory of more than any buffer holds comes whole, and what happens comes after it.
        """
        node = self.node(self.k)
        refs = [node.start("head", "-c", "65536", "/dev/zero") for _ in range(60)]
        for ref in refs:
            node.end_of(ref)
        node.frames.clear()
        last = node.start("sh", "-c", self.wait_for("go"))
        node.expect("started")
        slow = Node(self.k.connect())
        self.addCleanup(slow.close)
        slow.say("hello", speaks=[VERSION], node=self.name, environment={"PATH": "/bin"})
        slow.expect("hello")
        slow.say("ping")
        held = [slow.hear() for _ in range(61)]
        self.assertEqual(["holds"] * 61, [frame.word for frame in held])
        self.assertEqual([65536] * 60, [len(frame.body) for frame in held[:60]])
        slow.expect("complete")
        slow.expect("pong")
        (self.state / "go").touch()
        slow.expect("ended")
        self.assertEqual(last, held[60].head["ref"])

    def test_versions(self) -> None:
        """
        A node with no version in common gets an answer and no more; the runs go on.
        """
        node = self.node(self.k)
        ref = node.start("sleep", "1000")
        node.expect("started")
        for speaks in ([VERSION + 1, 99], []):
            newer = Node(self.k.connect())
            self.addCleanup(newer.close)
            hello = pack_frame("hello", {"speaks": speaks, "from_the_future": True})
            newer.socket.sendall(hello + pack_frame("conquer"))
            self.assertEqual([VERSION], newer.expect("hello").head["speaks"])
            self.assertRaises(EOFError, newer.hear)
            newer.close()
        self.assertIn("a node speaks versions 2, 99 and this keeper 1", self.k.log)
        node.say("stop", refs=[ref])
        self.assertEqual("cancelled", node.end_of(ref)[0]["status"])

    def test_bad_frames(self) -> None:
        """
        What is no frame, or no word, closes its connection; the runs and the others go on.
        """
        node = self.node(self.k)
        ref = node.start("sleep", "1000")
        node.expect("started")
        for bad in (
            b"GET / HTTP/1.1\r\n\r\n",
            struct.pack("!II", 2**31, 0),
            struct.pack("!II", 3, 0) + b"abc",
            pack_frame("start"),
            pack_frame("hello"),
            pack_frame("hello", {"speaks": [VERSION]}),
            pack_frame("hello", {"speaks": [VERSION], "node": "n", "environment": {"A": 1}}),
            pack_frame("stop", {"refs": []}),
        ):
            other = self.k.connect()
            other.sendall(bad)
            self.assertEqual(b"", other.recv(1))
            other.close()
        self.assertIn(
            "a connection is closed, for what came there: a frame is too long", self.k.log
        )
        node.say("stop", refs=[ref])
        self.assertEqual("cancelled", node.end_of(ref)[0]["status"])

    def test_bad_words(self) -> None:
        """
        So does a word of a greeted node that is not known, or says not what it should.
        """
        for word, head in (
            ("nonsense", {}),
            ("start", {"ref": [1, 2, 3, 4]}),
            ("stop", {"refs": 3}),
            ("drop", {"refs": [["a", "b", 1, True]]}),
        ):
            node = self.node(self.k)
            node.say(word, **head)
            self.assertRaises(EOFError, node.hear)
        self.node(self.k).say("ping")

    def test_bytes_apart(self) -> None:
        """
        Frames may come a byte at a time.
        """
        node = Node(self.k.connect())
        self.addCleanup(node.close)
        hello = {"speaks": [VERSION], "node": self.name, "environment": {}}
        for byte in pack_frame("hello", hello) + pack_frame("ping"):
            node.socket.sendall(bytes([byte]))
        self.assertEqual(["hello", "complete", "pong"], [node.hear().word for _ in range(3)])

    def test_node_gone(self) -> None:
        """
        A run goes on when its node goes, and the next node hears how it ended.
        """
        node = self.node(self.k)
        ref = node.start("sh", "-c", self.wait_for("go") + "; exit 5")
        node.expect("started")
        node.close()
        (self.state / "go").touch()
        eventually(lambda: not of_node(self.name), "the run does not end")
        eventually(lambda: self.ended(self.k, ref), "its end is not told")

    def ended(self, keeper: Keeper, ref: object) -> bool:
        """
        Whether that run has ended, as another node hears.
        """
        node = self.node(keeper)
        [held] = node.held
        self.assertEqual(ref, held.head["ref"])
        return bool(held.head["state"] == "ended" and held.head["outcome"]["code"] == 5)

    def test_reader_that_stops(self) -> None:
        """
        A node that does not read keeps nobody waiting.
        """
        node = self.node(self.k)
        node.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for i in range(50):
            node.start("sh", "-c", f"head -c 60000 /dev/zero; : > {self.state}/done-{i}")
        eventually(lambda: len(list(self.state.glob("done-*"))) == 50, "the runs do not end")
        self.assertEqual(50, len(self.node(self.k).held))


class CostTests(KeeperCase):
    """
    What a keeper takes.
    """

    def test_idle(self) -> None:
        """
        A keeper whose run sleeps uses next to no processor time.
        """
        keeper = self.keeper()
        node = self.node(keeper)
        node.start("sleep", "1000")
        node.expect("started")

        def ticks() -> int:
            stat = Path(f"/proc/{keeper.process.pid}/stat").read_bytes()
            return sum(map(int, stat.rsplit(b") ")[-1].split()[11:13]))

        before, begin = ticks(), time.monotonic()
        node.socket.settimeout(1.0)
        self.assertRaises(TimeoutError, node.socket.recv, 1)
        used = (ticks() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - begin)
        self.assertLess(used, 0.05)
