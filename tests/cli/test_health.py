"""
What C{jobcluster-health} asks, whom, and what it makes of the answers.

(That real daemons answer so is in C{tests/functional/test_health.py}.)
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from twisted.protocols import amp
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.cli.health import (
    SickError,
    Talk,
    address_of,
    ask_balancer,
    ask_node,
    find,
)
from jobcluster.core.views import Ask
from jobcluster.endpoints import split_endpoint
from jobcluster.errors import NotJoinedError, StoreOpeningError, UnknownTicketError
from jobcluster.wire import commands


class Peer:
    """
    A daemon that answers each thing that it is told with the next of some answers, and then closes
    the connection.
    """

    def __init__(self, answers: Sequence[bytes]) -> None:
        """
        Begin to listen to one connection.
        """
        self.heard: list[bytes] = []
        self.connection, self._mine = socket.socketpair()
        self._thread = threading.Thread(target=self._answer, args=(answers,), daemon=True)
        self._thread.start()

    def _answer(self, answers: Sequence[bytes]) -> None:
        with self._mine:
            for answer in answers:
                self.heard.append(self._mine.recv(4096))
                self._mine.sendall(answer)

    def asked(self, talk: Talk, limit: float = 30.0) -> str:
        """
        Why it is not well, or nothing.
        """
        with self.connection:
            try:
                talk(self.connection, time.monotonic() + limit)
            except SickError as reason:
                return str(reason)
            finally:
                self._thread.join(30)
        return ""


class NodeTests(SynchronousTestCase):
    """
    A node is asked over its console.
    """

    unknown = f"Error: {UnknownTicketError()}\n".encode()

    def test_well(self) -> None:
        """
        It is well if it knows that it never had the job of a ticket of its own.
        """
        peer = Peer([b"The prompt is on.\nn1> ", self.unknown + b"n1> "])
        self.assertEqual("", peer.asked(ask_node))
        self.assertEqual([b"prompt on\n", b"status n1.0000000000000\n"], peer.heard)

    def test_prompt_everywhere(self) -> None:
        """
        A prompt that is there from the beginning is no answer.
        """
        peer = Peer([b"n1> The prompt is on.\nn1> ", self.unknown])
        self.assertEqual("", peer.asked(ask_node))

    def test_no_store(self) -> None:
        """
        It is not well as long as its store is not open, and when its disk is sick.
        """
        opening = "it is still opening its state directory"
        self.assertEqual(opening, Peer([b"The prompt is on.\n> "]).asked(ask_node))
        error = f"Error: {StoreOpeningError()}"
        peer = Peer([b"The prompt is on.\nn1> ", f"{error}\nn1> ".encode()])
        self.assertEqual(f"it answered: {error}", peer.asked(ask_node))

    def test_another_program(self) -> None:
        """
        What is no console is not well, whether it says something else or nothing.
        """
        for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b""):
            self.assertEqual(
                "it does not answer as a daemon of jobcluster does", Peer([answer]).asked(ask_node)
            )


class BalancerTests(SynchronousTestCase):
    """
    A balancer is asked as nodes ask.
    """

    def refusal(self, code: bytes) -> bytes:
        """
        A box with an error.
        """
        box = amp.AmpBox(_error=b"1", _error_code=code, _error_description=b"because")
        return bytes(box.serialize())

    def test_well(self) -> None:
        """
        It is well if it says that one has to join first; the question is one of the protocol's.
        """
        peer = Peer([self.refusal(commands.code_of(NotJoinedError()))])
        self.assertEqual("", peer.asked(ask_balancer))
        [box] = amp.parseString(b"".join(peer.heard))
        self.assertEqual(commands.Ask.commandName, box.pop(b"_command"))
        self.assertEqual(b"1", box.pop(b"_ask"))
        self.assertEqual({"ask": Ask("", "")}, commands.Ask.parseArguments(box, None))

    def test_answered(self) -> None:
        """
        It is well if it answers, too.
        """
        peer = Peer([bytes(amp.AmpBox(_answer=b"1", reply=b"").serialize())])
        self.assertEqual("", peer.asked(ask_balancer))

    def test_trouble(self) -> None:
        """
        It is not well if it answers anything else, or half.
        """
        self.assertEqual(
            "it answered: because", Peer([self.refusal(b"PeerError")]).asked(ask_balancer)
        )
        half = self.refusal(b"NotJoinedError")[:-1]
        for answer in (half, b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"):
            self.assertEqual(
                "it does not answer as a daemon of jobcluster does",
                Peer([answer]).asked(ask_balancer),
            )


class FindTests(SynchronousTestCase):
    """
    Which daemons run.
    """

    def setUp(self) -> None:
        """
        Have no process.
        """
        self.proc = Path(self.mktemp())
        self.proc.mkdir()
        self.last = 0

    def run_program(self, *arguments: str, environ: Sequence[str] = ()) -> None:
        """
        Have one process more.
        """
        self.last += 1
        entry = self.proc / str(self.last)
        entry.mkdir()
        for name, strings in (("cmdline", arguments), ("environ", environ)):
            text = "".join(f"{string}\0" for string in strings)
            (entry / name).write_text(text, encoding="utf-8")

    def found(self) -> list[tuple[str, str]]:
        """
        The daemons of this user: kind, and where it listens.
        """
        return [(d.kind, d.endpoint) for d in find(self.proc, os.getuid())]

    def test_daemons(self) -> None:
        """
        Where each listens is what its arguments say, or else its environment, or else its default.
        """
        self.run_program("/opt/bin/python", "/opt/bin/twistd", "-n", "jobnode")
        self.run_program(
            "twistd", "jobnode", "--console=tcp:1", "--slots", "2", "--console", "tcp:2"
        )
        self.run_program("twistd", "--pidfile=", "jobnode", "--verb", "--console=unix:here")
        self.run_program(
            "python3",
            "twistd",
            "jobbalancer",
            environ=["HOME=/", "JOBCLUSTER_LISTEN=tcp:8080:interface=\\:\\:", "NOTHING"],
        )
        self.assertEqual(
            [
                ("jobnode", "tcp:9000:interface=127.0.0.1"),
                ("jobnode", "tcp:2"),
                ("jobnode", "unix:here"),
                ("jobbalancer", "tcp:8080:interface=\\:\\:"),
            ],
            self.found(),
        )

    def test_others(self) -> None:
        """
        Other programs are none, nor are those of other users; what is no process is left alone.
        """
        self.run_program("tini", "--", "sh", "node.sh", "jobnode")
        self.run_program("python3", "-m", "jobcluster.keeper", "jobnode")
        self.run_program("twistd", "web")
        self.run_program()
        (self.proc / "uptime").touch()
        (self.proc / "99").mkdir()
        self.assertEqual([], self.found())
        self.run_program("twistd", "jobnode")
        self.assertEqual(1, len(self.found()))
        self.assertEqual([], list(find(self.proc, os.getuid() + 1)))

    def test_root(self) -> None:
        """
        Root finds those of all users.
        """
        self.run_program("twistd", "jobnode")
        self.assertEqual(1, len(list(find(self.proc, 0))))

    def test_other_network(self) -> None:
        """
        What runs in a network of its own, as in a container, is none that can be asked.
        """
        for name, network in (("self", "net:[1]"), ("1", "net:[1]"), ("2", "net:[2]")):
            if name != "self":
                self.run_program("twistd", "jobnode", f"--console=tcp:900{name}")
            (self.proc / name / "ns").mkdir(parents=True)
            (self.proc / name / "ns" / "net").symlink_to(network)
        self.assertEqual([("jobnode", "tcp:9001")], self.found())


class AddressTests(SynchronousTestCase):
    """
    How a daemon is reached.
    """

    def test_each(self) -> None:
        """
        A daemon that listens on every address is reached by loopback.
        """
        for endpoint, expected in {
            "tcp:9000": ("127.0.0.1", 9000),
            "tcp:port=9000:interface=0.0.0.0": ("127.0.0.1", 9000),
            "tcp:9000:192.0.2.1": ("192.0.2.1", 9000),
            "tcp:9000:interface=localhost": ("localhost", 9000),
            "tcp:9000:interface=\\:\\:1": ("::1", 9000),
            "tcp6:9000": ("::1", 9000),
            "unix:/run/console:mode=600": "/run/console",
            "unix:address=/run/a\\:b": "/run/a:b",
        }.items():
            self.assertEqual(expected, address_of(endpoint), endpoint)

    def test_unknown(self) -> None:
        """
        Others are not.
        """
        for endpoint in ("ssl:443", "tcp", "tcp:x", ""):
            self.assertRaises(SickError, address_of, endpoint)


class SplitTests(SynchronousTestCase):
    """
    How the text of an endpoint is taken apart.
    """

    def test_each(self) -> None:
        """
        What stands behind a backslash is meant as it is.
        """
        self.assertEqual(
            ("tcp", ["9000"], {"interface": "::1", "a": "b=c"}),
            split_endpoint("tcp:9000:interface=\\:\\:1:a=b=c"),
        )
        self.assertEqual(("unix", ["/a=b:c\\d"], {}), split_endpoint("unix:/a\\=b\\:c\\\\d"))
        self.assertEqual(("", [], {}), split_endpoint(""))
