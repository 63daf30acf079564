"""
How a node comes by its keeper: finds it or starts it, and ends one that is of no use.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Final

import attrs
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from jobcluster.errors import KeeperError, KeeperSilentError, KeeperVersionError
from jobcluster.runners.keeper_peer import Inventory, KeeperPeer
from jobcluster.runners.keeper_place import KeeperPlace, Launched, Sighting
from jobcluster.runners.patience import Patience

__all__ = ["Found", "KeeperSearch"]

_LOOK_EVERY: Final = 0.01
"""Seconds between two looks at something that happens within a tenth of a second, mostly."""

_TRIES: Final = 5
"""Keepers that may be useless one after the other."""

_TAKEN: Final = 3
"""The exit status of a keeper whose place is taken already."""

_REST: Final = 2.0
"""Seconds more than its jobs have that a keeper has to end, before it is killed."""

_PARTING: Final = 0.2
"""Seconds in which a process is gone whose connection has ended because it ends."""

_DEATH: Final = 1.0
"""Seconds in which a process that was killed is gone, unless the kernel holds it."""


@attrs.frozen
class Found:
    """A keeper that can be spoken to."""

    sighting: Sighting
    peer: KeeperPeer
    inventory: Inventory


class KeeperSearch:
    """
    Finds the keeper of a place.
    """

    def __init__(
        self,
        clock: IReactorTime,
        place: KeeperPlace,
        make_peer: Callable[[], KeeperPeer],
        kill_after: float,
        limit: float,
    ) -> None:
        """
        Look for nothing yet.

        @param make_peer: makes this node's end of a connection.
        @param kill_after: seconds that the jobs of a keeper that is to end have for it.
        @param limit: seconds in which a keeper is to answer.
        """
        self._clock = clock
        self._place = place
        self._make_peer = make_peer
        self._kill_after = kill_after
        self._limit = limit
        self._launched: Launched | None = None
        self._log = Logger(namespace="jobcluster.node")

    async def find(self) -> Found:
        """
        Find the keeper, or start one, and hear what it holds; one that is of no use is replaced.

        @raise KeeperError: if there is none to be had.
        """
        trouble = KeeperError()
        for _ in range(_TRIES):
            sighting, peer = await self._reach()
            try:
                return Found(sighting, peer, await peer.inventory)
            except CancelledError:
                peer.close()
                raise
            except KeeperError as error:
                trouble = error
            await self.remove(sighting, trouble)
        raise trouble

    async def remove(self, sighting: Sighting, trouble: KeeperError) -> None:
        """
        End a keeper that is of no use, or leave it alone if it might be of some.

        @param trouble: why there is no connection to it.
        """
        if isinstance(trouble, KeeperSilentError):
            self._log.warn(
                "{trouble} It is killed and replaced (process {pid}).",
                trouble=str(trouble),
                pid=sighting.pid,
            )
            await self._kill(sighting)
        elif isinstance(trouble, KeeperVersionError):
            self._log.warn(
                "{trouble} It is ended and replaced (process {pid}).",
                trouble=str(trouble),
                pid=sighting.pid,
            )
            self._place.signal(sighting, signal.SIGTERM)
            await self.outlive(sighting)
        elif await self._is_gone(sighting, _PARTING):
            self._log.warn("the keeper has died (process {pid})", pid=sighting.pid)

    async def outlive(self, sighting: Sighting) -> None:
        """
        Wait until a keeper that was told to end has ended; in the end it is killed.
        """
        if not await self._is_gone(sighting, self._kill_after + _REST):
            self._log.warn(
                "the keeper does not end: it is killed (process {pid})", pid=sighting.pid
            )
            await self._kill(sighting)

    async def end_unmet(self) -> None:
        """
        End the keeper that nobody is connected to, if there is one.
        """
        sighting = self._place.named()
        if sighting is not None:
            self._place.signal(sighting, signal.SIGTERM)
            await self.outlive(sighting)
        elif self._launched is not None and self._launched.poll() is None:
            # It has no jobs yet, nor a name.
            self._launched.terminate()

    async def pause(self, seconds: float) -> None:
        """
        Wait a while.
        """
        await deferLater(self._clock, seconds)

    # -- inside ------------------------------------------------------------------------------------

    async def _reach(self) -> tuple[Sighting, KeeperPeer]:
        """Connect to the keeper; start one first if there is none."""
        patience = Patience(self._limit, self._clock.seconds())
        self._launched = None
        while True:
            sighting = self._place.named()
            peer = None if sighting is None else await self._connect(sighting)
            if sighting is not None and peer is not None:
                return sighting, peer
            if self._launched is None:
                # Only now may the lock be tried: a keeper that starts would find it taken.
                if not self._place.is_locked():
                    self._launched = self._place.launch()
            else:
                self._see_to(self._launched)
            if await self._is_over(patience, _LOOK_EVERY):
                if sighting is None:
                    raise KeeperError(
                        f"No keeper has come up in {self._limit:g} s: see {self._place.log}."
                    )
                await self.remove(sighting, KeeperSilentError("The keeper takes no connection."))
                patience.begin(self._clock.seconds())
                self._launched = None

    def _see_to(self, launched: Launched) -> None:
        status = launched.poll()
        if status is None:
            return
        if status != _TAKEN:
            raise KeeperError(
                f"The keeper has ended at once, with status {status}: see {self._place.log}."
            )
        self._launched = None

    async def _connect(self, sighting: Sighting) -> KeeperPeer | None:
        peer = self._make_peer()
        try:
            await self._place.connect(sighting, peer)
        except (ConnectError, OSError):
            return None  # it does not listen yet, or no more
        return peer

    async def _kill(self, sighting: Sighting) -> None:
        self._place.signal(sighting, signal.SIGKILL)
        await self._is_gone(sighting, _DEATH)

    async def _is_gone(self, sighting: Sighting, limit: float) -> bool:
        """Wait for the end of a process; whether it has come within the limit."""
        patience = Patience(limit, self._clock.seconds())
        while self._place.lives(sighting):
            if await self._is_over(patience, _LOOK_EVERY):
                return not self._place.lives(sighting)
        return True

    async def _is_over(self, patience: Patience, seconds: float) -> bool:
        """Wait a while; whether it was too long in all."""
        due = self._clock.seconds() + seconds
        await self.pause(seconds)
        return patience.look(self._clock.seconds(), due)
