"""
What is too long for a word, brought over in pieces: payloads to executors, output to origins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred, DeferredSemaphore, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobcluster.core.actions import CollectOutput, FetchPayload
from jobcluster.core.events import NodeEvent, OutputCollected, OutputMissed, PayloadCame
from jobcluster.core.records import Identity
from jobcluster.core.values import Offer, Ref
from jobcluster.core.views import Ask, Reply
from jobcluster.errors import (
    JobclusterError,
    OutputMissingError,
    OutputNotKeptError,
    PeerError,
    StoreFailedError,
    StoreOpeningError,
)
from jobcluster.interfaces import IOutputs, IRunner

__all__ = ["PIECE", "Transfers"]

PIECE: Final = 256 * 1024
"""Bytes in one piece: little enough for dispatches to pass between two of them."""

_AT_ONCE: Final = 4
"""Outputs that are collected at the same time; that many pieces are in memory."""


class Transfers:
    """
    The transfers of one life of a node's core.
    """

    def __init__(
        self,
        identity: Identity,
        runner: IRunner,
        outputs: IOutputs,
        ask: Callable[[Ask], Deferred[Reply]],
        room: Callable[[], int],
        handle: Callable[[NodeEvent], None],
    ) -> None:
        """
        Nothing is under way.

        @param ask: asks another node.
        @param room: how many bytes of output the disk may take.
        @param handle: takes what became of a transfer, for the core.
        """
        self._identity = identity
        self._runner = runner
        self._outputs = outputs
        self._ask = ask
        self._room = room
        self._handle = handle
        self._turn = DeferredSemaphore(_AT_ONCE)
        self._over = False
        self._active: dict[int, set[Offer]] = {}
        self._late: set[tuple[int, Offer]] = set()
        """Those whose job has another attempt whose output has come, or comes."""
        self._log = Logger(namespace="jobcluster.node")

    def abandon(self) -> None:
        """
        Tell nothing any more.
        """
        self._over = True

    # -- outputs -----------------------------------------------------------------------------------

    def collect(self, action: CollectOutput) -> None:
        """
        Bring an output to this node's disk.
        """
        job, offer = action.job, action.offer
        active = self._active.setdefault(job, set())
        self._late.update((job, other) for other in active if other < offer)
        active.add(offer)

        def over(result: object) -> object:
            self._late.discard((job, offer))
            active.discard(offer)
            if not active:
                self._active.pop(job, None)
            return result

        done = self._turn.run(lambda: Deferred.fromCoroutine(self._collect(action)))
        done.addBoth(over).addErrback(self._failed, OutputMissed(job, offer))

    async def _collect(self, action: CollectOutput) -> None:
        if self._over:
            return
        job, offer = action.job, action.offer
        trouble = ""
        try:
            await self._copy(action)
            await self._outputs.keep(job, offer)
        except OutputMissingError:
            trouble = "its output is no longer there"
        except OutputNotKeptError as error:
            trouble = str(error)
        except JobclusterError as error:
            # It will be told again, and then tried again.
            self._log.debug("an output could not be fetched: {why}", why=error)
            if not self._over:
                # Or not, if its attempt is lost.
                await self._outputs.discard(job, offer)
            self._tell(OutputMissed(job, offer))
            return
        if trouble:
            await self._outputs.discard(job, offer)
        self._tell(OutputCollected(job, offer, trouble))

    async def _copy(self, action: CollectOutput) -> None:
        outcome = action.outcome
        if outcome.out_size + outcome.err_size > self._room():
            raise OutputNotKeptError("its output cannot be kept: the origin's disk is too full")
        for stream, size in (("out", outcome.out_size), ("err", outcome.err_size)):
            # The next piece is on its way while this one is written.
            coming = self._piece(action, stream, 0, size)
            for offset in range(0, size, PIECE):
                piece = await coming
                if len(piece) != min(PIECE, size - offset):
                    raise OutputMissingError
                coming = self._piece(action, stream, offset + PIECE, size)
                try:
                    self._go_on(action)
                    await self._outputs.write(action.job, action.offer, stream, offset, piece)
                except OutputMissingError as error:
                    coming.addErrback(lambda _: None)
                    raise StoreFailedError("what was written was moved") from error
                except JobclusterError:
                    coming.addErrback(lambda _: None)
                    raise
        self._go_on(action)

    def _go_on(self, action: CollectOutput) -> None:
        """Leave the files alone when the next life, or a later attempt, writes to them."""
        if self._over or (action.job, action.offer) in self._late:
            raise StoreOpeningError

    def _piece(self, action: CollectOutput, stream: str, offset: int, size: int) -> Deferred[bytes]:
        if offset >= size:
            return succeed(b"")
        limit = min(PIECE, size - offset)
        return Deferred.fromCoroutine(self._read(action, stream, offset, limit))

    async def _read(self, action: CollectOutput, stream: str, offset: int, limit: int) -> bytes:
        name, store = self._identity.name, self._identity.store
        if action.node == name:
            return self._runner.output((name, store, *action.offer), stream, offset, limit)
        asked = Ask(
            action.node,
            "kept",
            action.job,
            stream=stream,
            offset=offset,
            limit=limit,
            origin=name,
            store=store,
            incarnation=action.offer[0],
            serial=action.offer[1],
        )
        return (await self._ask(asked)).data

    # -- payloads ----------------------------------------------------------------------------------

    def fetch(self, action: FetchPayload) -> None:
        """
        Bring a payload to this node.
        """
        done = Deferred.fromCoroutine(self._fetch(action))
        done.addErrback(self._failed, PayloadCame(action.ref, None))

    async def _fetch(self, action: FetchPayload) -> None:
        payload: bytes | None
        try:
            payload = await self._fetched(action.ref, action.job, action.size)
        except JobclusterError as error:
            self._log.info("what is to be run could not be fetched: {why}", why=error)
            payload = None
        self._tell(PayloadCame(action.ref, payload))

    async def _fetched(self, ref: Ref, job: int, size: int) -> bytes:
        pieces = bytearray()
        while len(pieces) < size:
            asked = Ask(
                ref[0], "payload", job, offset=len(pieces), limit=PIECE, origin=ref[0], store=ref[1]
            )
            piece = (await self._ask(asked)).data
            if not piece:
                raise PeerError("the origin does not know the job any more")
            pieces += piece
        return bytes(pieces)

    # -- both --------------------------------------------------------------------------------------

    def _tell(self, event: NodeEvent) -> None:
        if not self._over:
            self._handle(event)

    def _failed(self, failure: Failure, event: NodeEvent) -> None:
        """Whatever goes wrong, the core must hear of it, or it would wait for ever."""
        self._log.failure("a transfer failed", failure)
        self._tell(event)
