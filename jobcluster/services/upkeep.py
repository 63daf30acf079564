"""
What a node does now and then, whether anything happens or not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from jobcluster.core.records import Change
from jobcluster.errors import JobclusterError
from jobcluster.interfaces import IOutputs, IStore
from jobcluster.services.clocks import Clocks
from jobcluster.services.recent import Recent

__all__ = ["Upkeep"]

_LOOK_EVERY: Final = 1.0
"""Seconds after which a node looks whether its state directory is still there."""

_EXPIRE_EVERY: Final = 600.0
"""Seconds between two looks for outcomes whose retention is over."""

_EXPIRE_AT_ONCE: Final = 1000

_DAY: Final = 86_400.0


class Upkeep:
    """
    Looks after a node's state directory.
    """

    def __init__(
        self,
        clock: IReactorTime,
        clocks: Clocks,
        store: IStore,
        outputs: IOutputs,
        recent: Recent,
        retention: float,
        look: Callable[[Sequence[Change]], None],
    ) -> None:
        """
        Do nothing yet.

        @param retention: days for which outcomes are kept.
        @param look: commits, if the store is in use; a commit of nothing looks for the directory.
        """
        self._clocks = clocks
        self._store = store
        self._outputs = outputs
        self._recent = recent
        self._retention = retention
        self._look = look
        self._log = Logger(namespace="jobcluster.node")
        self._calls = {
            LoopingCall(self._look, ()): _LOOK_EVERY,
            LoopingCall(self._expire): _EXPIRE_EVERY,
        }
        for call in self._calls:
            call.clock = clock

    def start(self) -> None:
        """
        Begin, if that was not done yet.
        """
        for call, every in self._calls.items():
            if not call.running:
                call.start(every)

    def stop(self) -> None:
        """
        End.
        """
        for call in self._calls:
            if call.running:
                call.stop()

    def _expire(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._expire_all())

    async def _expire_all(self) -> None:
        before = int((self._clocks().wall - self._retention * _DAY) * 1000)
        try:
            while await self._store.expire(before, _EXPIRE_AT_ONCE) >= _EXPIRE_AT_ONCE:
                pass
            await self._outputs.forget(before)
        except JobclusterError as reason:
            self._log.warn("outcomes could not be expired: {reason}", reason=reason)
        finally:
            self._recent.clear()  # some may have, whatever failed then
