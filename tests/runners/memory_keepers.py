"""
Keepers in memory: they speak the real frames, and die, freeze and misbehave as they are told to.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError as TwistedRefusedError
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.test.iosim import FakeTransport, IOPump

from jobcluster.core.values import Ref
from jobcluster.errors import KeeperError, OutputMissingError
from jobcluster.keeper.frames import Frame, FrameReader, pack_frame
from jobcluster.runners.keeper_place import Sighting

BOOTED = 500.0
WALL = 1_764_000_000.0
AT = 1_764_000_000_000
"""Milliseconds of the wall clock in the beginning."""

STARTUP = 0.05
"""Seconds from a keeper's launch until it listens."""


class MemoryProcess:
    """What was launched."""

    def __init__(self) -> None:
        """It runs."""
        self.status: int | None = None

    def poll(self) -> int | None:
        """See L{jobcluster.runners.keeper_place.Launched.poll}."""
        return self.status

    def terminate(self) -> None:
        """See L{jobcluster.runners.keeper_place.Launched.terminate}."""
        self.status = -signal.SIGTERM


class KeeperEnd(Protocol):
    """
    A keeper's end of a connection.
    """

    def __init__(self, keeper: MemoryKeeper) -> None:
        """Wait for the first word."""
        self._keeper = keeper
        self._reader = FrameReader()

    def dataReceived(self, data: bytes) -> None:
        """Words, or the beginning of one."""
        for frame in self._reader.feed(data):
            if self._keeper.is_alive:
                self._keeper.obey(self, frame)


class MemoryKeeper:
    """
    A keeper that holds what it was told to start, and ends it when the test wants that.
    """

    def __init__(self, pid: int, clock: Clock, holds: Mapping[Ref, dict[str, Any]]) -> None:
        """
        A process that nobody has connected to.

        @param holds: what an earlier one has left.
        """
        self.ident = f"keeper-{pid}"
        self.pid = pid
        self.speaks = [1]
        self.holds = dict(holds)
        """The heads of the rows of an inventory."""
        self.heard: list[tuple[str, Any]] = []
        """Words but pings: C{hello}, or what runs they are about, by their serials."""
        self.pings = 0
        self.is_alive = True
        self.is_frozen = False
        self.is_stubborn = False
        """Whether it ignores a wish that it end."""
        self.is_slow = False
        """Whether what is to be started waits for the test."""
        self.is_old = False
        """Whether it does not say the numbers of runs: of each it is that of its offer."""
        self.is_mute = False
        """Whether it says nothing to whoever connects."""
        self._clock = clock
        self._end: KeeperEnd | None = None

    def obey(self, end: KeeperEnd, frame: Frame) -> None:
        """
        A word came.
        """
        word, head = frame.word, frame.head
        if word == "ping":
            self.pings += 1
            self.say("pong")
        elif word == "hello":
            self.heard.append((word, head))
            self._end = end
            if not self.is_mute:
                self._greet()
        elif word == "start":
            self.heard.append((word, head["ref"][3]))
            if not self.is_slow:
                self.start(head)
        elif word == "end":
            self.heard.append((word, None))
        else:
            refs = [tuple(ref) for ref in head["refs"]]
            self.heard.append((word, tuple(ref[3] for ref in refs)))
            if word == "drop":
                for ref in refs:
                    self.holds.pop(ref, None)
                self.say("dropped", refs=refs)

    def _greet(self) -> None:
        self.say("hello", speaks=self.speaks, keeper=self.ident, pid=self.pid, boot="boot")
        for head in self.holds.values():
            self.say("holds", **head)
        self.say("complete")

    def start(self, head: dict[str, Any]) -> None:
        """
        Start a run, unless its lease is over.
        """
        ref = head["ref"]
        if BOOTED + self._clock.seconds() > head["until"]:
            self.say("refused", refs=[ref])
            return
        about = {
            name: head[name] for name in ("ref", "job", "attempt", "once", "suspect", "ticket")
        }
        at = AT + int(self._clock.seconds() * 1000)
        self.holds[tuple(ref)] = {**about, "state": "running", "started": at}
        if self.is_old:
            self.say("started", refs=[ref], at=at)
        else:
            self.holds[tuple(ref)]["number"] = ref[3]
            self.say("started", refs=[ref], at=at, numbers=[ref[3]])

    def end(
        self,
        ref: Ref,
        status: str = "succeeded",
        code: int | None = 0,
        body: bytes = b"",
        **more: Any,  # noqa: ANN401 - JSON
    ) -> None:
        """
        A run ends.

        @param body: its output, where that is said with its end.
        @param more: of its outcome.
        """
        head = self.holds[ref]
        at = AT + int(self._clock.seconds() * 1000)
        outcome = {"status": status, "code": code, "detail": "", "started": head["started"]}
        outcome |= {"ended": at, "out": 0, "err": 0, "run": None, **more}
        self.holds[ref] = {**head, "state": "ended", "outcome": outcome}
        self.say("ended", body, ref=ref, outcome=outcome)

    def say(self, word: str, body: bytes = b"", **head: Any) -> None:  # noqa: ANN401 - JSON
        """
        Say something to the newest connection.
        """
        self.babble(pack_frame(word, head, body))

    def babble(self, data: bytes) -> None:
        """
        Say something that is no word.
        """
        if self._end is not None and self._end.transport is not None:
            self._end.transport.write(data)

    def words(self) -> list[tuple[str, Any]]:
        """
        What was heard since this was called last.
        """
        heard, self.heard = self.heard, []
        return heard

    def succeeded_by(self, pid: int) -> MemoryKeeper:
        """
        What finds what this one has left.
        """
        left = {}
        for ref, head in self.holds.items():
            outcome = {"status": "lost", "code": None, "detail": "keeper-died", "out": 0, "err": 0}
            outcome |= {"started": head["started"], "ended": head["started"] + 1, "run": None}
            left[ref] = {"outcome": outcome, **head, "state": "ended"}
        return MemoryKeeper(pid, self._clock, left)


class CountingTransport(FakeTransport):
    """One end of a connection that counts what is written at once."""

    def __init__(self, protocol: IProtocol, *, is_server: bool) -> None:
        """One end."""
        super().__init__(protocol, is_server)
        self.writes = 0

    def write(self, data: bytes) -> None:
        """Count it."""
        self.writes += 1
        super().write(data)


class MemoryPlace:
    """
    The keeper of a state directory that is not there.
    """

    def __init__(self, clock: Clock) -> None:
        """
        Nobody was ever here.
        """
        self._clock = clock
        self.keeper: MemoryKeeper | None = None
        self.processes: list[MemoryProcess] = []
        self.failures: list[int | None] = []
        """The next launches end with these statuses at once; C{None}: cannot be made at all."""
        self.takes_connections = True
        self.signals: list[tuple[int, int]] = []
        self.files: dict[tuple[int, str], bytes] = {}
        self.speaks = [1]
        """Of the next keepers."""
        self.transports: list[CountingTransport] = []
        self._pumps: list[tuple[MemoryKeeper, IOPump]] = []

    log = "/nowhere/log"

    @property
    def launched(self) -> int:
        """How many processes were started."""
        return len(self.processes)

    def named(self) -> Sighting | None:
        """See L{jobcluster.runners.keeper_place.KeeperPlace}."""
        keeper = self.keeper
        if keeper is None or not keeper.is_alive:
            return None
        return Sighting(keeper.pid, 1, "boot", keeper.ident, "/nowhere/socket")

    def is_locked(self) -> bool:
        """See L{jobcluster.runners.keeper_place.KeeperPlace}."""
        return self.named() is not None

    def lives(self, sighting: Sighting) -> bool:
        """See L{jobcluster.runners.keeper_place.KeeperPlace}."""
        return self.named() == sighting

    def signal(self, sighting: Sighting, number: int) -> None:
        """See L{jobcluster.runners.keeper_place.KeeperPlace}."""
        keeper = self.keeper
        if keeper is not None and self.lives(sighting):
            self.signals.append((sighting.pid, number))
            if number == signal.SIGKILL or not keeper.is_stubborn:
                self.die()

    def launch(self) -> MemoryProcess:
        """See L{jobcluster.runners.keeper_place.KeeperPlace}."""
        process = MemoryProcess()
        self.processes.append(process)
        if self.failures:
            process.status = self.failures.pop(0)
            if process.status is None:
                raise KeeperError("No keeper can be started.")
        else:
            self._clock.callLater(STARTUP, self._come_up, process)
        return process

    def connect(self, sighting: Sighting, protocol: IProtocol) -> Deferred[IProtocol]:
        """See L{jobcluster.runners.keeper_place.KeeperPlace}."""
        keeper = self.keeper
        if keeper is None or not self.lives(sighting) or not self.takes_connections:
            return fail(TwistedRefusedError())
        end = KeeperEnd(keeper)
        ours = CountingTransport(protocol, is_server=False)
        theirs = CountingTransport(end, is_server=True)
        self.transports.append(ours)
        self._pumps.append((keeper, IOPump(protocol, end, ours, theirs, debug=False)))
        end.makeConnection(theirs)
        protocol.makeConnection(ours)
        return succeed(protocol)

    def read(self, number: int, stream: str, offset: int, limit: int) -> bytes:
        """See L{jobcluster.runners.keeper_place.KeeperPlace}."""
        if (number, stream) not in self.files:
            raise OutputMissingError
        return self.files[number, stream][offset : offset + limit]

    def _come_up(self, process: MemoryProcess) -> None:
        if process.status is None:
            self.come_up()

    # -- for tests ---------------------------------------------------------------------------------

    def come_up(self) -> MemoryKeeper:
        """
        A keeper has this place from now on.
        """
        pid = 1 if self.keeper is None else self.keeper.pid + 1
        former = self.keeper or MemoryKeeper(0, self._clock, {})
        self.keeper = former.succeeded_by(pid)
        self.keeper.speaks = self.speaks
        return self.keeper

    def die(self) -> None:
        """
        The keeper ends, and its connections with it.
        """
        dying = self.keeper
        if dying is not None:
            dying.is_alive = dying.is_frozen = False
            for keeper, pump in self._pumps:
                if keeper is dying:
                    pump.serverIO.loseConnection()

    def pump(self) -> bool:
        """
        Carry bytes; whether there were any.
        """
        moved = False
        for keeper, pump in list(self._pumps):
            if not keeper.is_frozen:
                moved = pump.pump() or moved
        return moved
