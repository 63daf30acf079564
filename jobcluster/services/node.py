"""
A node's shell: it opens the store, gives life to a core, and begins anew when its disk was sick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.defer import TimeoutError as TwistedTimeoutError
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobcluster.core.events import CancelRequested, JobsRequested, NodeEvent, StopRequested
from jobcluster.core.node import Node
from jobcluster.core.records import Change, Identity
from jobcluster.core.values import Ref, Spec
from jobcluster.core.views import JobView
from jobcluster.errors import (
    JobclusterError,
    KeeperError,
    NotAcknowledgedError,
    OutputMissingError,
    PeerError,
    StateGoneError,
    StoreError,
    StoreFailedError,
    StoreFullError,
    StoreOpeningError,
)
from jobcluster.interfaces import IOutputs, IRunner, IStore
from jobcluster.services.balancer_link import BalancerLink
from jobcluster.services.life import Life, Parts
from jobcluster.services.recent import Recent
from jobcluster.services.requests import Waiters
from jobcluster.services.setup import Setup
from jobcluster.services.upkeep import Upkeep

__all__ = ["NodeService", "Parts", "Setup"]

_REOPEN_AFTER: Final = 1.0
"""Seconds after which a sick disk is tried again."""

_CALM: Final = 10.0
"""Seconds after which a node that has begun anew does so at once, when it has to again."""

_ROOM: Final = 256 * 1024
"""Bytes that must be free for a node to go on whose commit has failed."""

_STOP_LIMIT: Final = 5.0
"""Seconds in which a node that stops in order is to have said all it has to, when nothing runs."""


class NodeService(Service):
    """
    A node, as a service and as its clients have it.
    """

    def __init__(
        self, parts: Parts, make_runner: Callable[[], IRunner], fatal: Callable[[str], None]
    ) -> None:
        """
        A node that opens its store when it is started.

        @param make_runner: makes what runs jobs, anew each time the core is rebuilt.
        @param fatal: called with one line if the node cannot go on.
        """
        self._parts = parts
        self._make_runner = make_runner
        self._fatal = fatal
        self._log = Logger(namespace="jobcluster.node")
        self.link: BalancerLink | None = None
        """Set by whoever builds the node, before it is started."""
        self.opened: Callable[[], None] = lambda: None
        """Called once its store is open, and so its state directory locked; to be set likewise."""
        self._life: Life | None = None
        self._retry: IDelayedCall | None = None
        self._upkeep = Upkeep(
            parts.clock,
            parts.clocks,
            parts.store,
            parts.outputs,
            parts.recent,
            parts.setup.retention,
            self._commit_if_idle,
        )
        self._unborn: IRunner | None = None
        """The runner of a life that has not begun."""
        self._stopped: Deferred[None] | None = None
        self._keep = parts.setup.keep
        self._trouble: StoreError = StoreOpeningError()
        self._begun_at: float | None = None
        """When it last had to begin anew."""
        self.identity: Identity | None = None
        """Who this node is, once its store is open."""

    # -- as a service ------------------------------------------------------------------------------

    def startService(self) -> None:
        """
        Open the store, then connect.
        """
        Service.startService(self)
        self._open()

    def stopService(self) -> Deferred[None]:
        """
        Stop in order; fires when everything is said, what is to end has ended, and the store is
        closed.
        """
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    def end_what_runs(self) -> None:
        """
        Whatever was set, nothing that runs is to outlive this node when it is stopped.
        """
        self._keep = False

    async def _stop(self) -> None:
        kill_after = self._parts.setup.kill_after
        self._upkeep.stop()
        if self._retry is not None and self._retry.active():
            self._retry.cancel()
        life = self._life
        if life is not None:
            stopped: Deferred[None] = Deferred()
            self._stopped = stopped
            life.handle(StopRequested(self._keep))
            try:
                await stopped.addTimeout(_STOP_LIMIT + kill_after, self._parts.clock)
            except TwistedTimeoutError:
                self._log.warn("not everything could be said before the node stopped")
        runner = self._unborn if life is None else life.runner
        if runner is None and self.identity is not None:
            # It begins anew just now, and what runs goes on; before that, it is another node's.
            runner = self._make_runner()
        if runner is not None and not self._keep:
            await runner.finish()
            if life is None:
                runner.close()
        self._end_life()
        if self.link is not None:
            await self.link.stop()
        await self._parts.store.close()

    # -- opening and rebuilding --------------------------------------------------------------------

    def _open(self) -> None:
        self._retry = None
        if self.identity is not None and self._parts.store.free() < _ROOM:
            # The next commit would fail as the last one did.
            self._retry = self._parts.clock.callLater(_REOPEN_AFTER, self._open)
            return
        Deferred.fromCoroutine(self._build()).addErrback(self._not_opened)

    async def _build(self) -> None:
        parts, setup = self._parts, self._parts.setup
        identity, recovered = await parts.store.open(
            setup.name, setup.boot, setup.fresh_store, setup.random(), setup.first_job
        )
        if not self.running:
            return
        if self.identity is None:
            await self._tidy()
        # A runner may have to know the name.
        before, self.identity = self.identity, identity
        if before is None:
            self.opened()
        runner = self._unborn = self._make_runner()
        try:
            keeper, adopted = await runner.inventory()
        except KeeperError:
            runner.close()
            self.identity = before
            raise
        finally:
            self._unborn = None
        if not self.running:
            runner.close()
            return
        core = Node(identity, recovered, setup.settings, keeper, adopted, parts.clocks())
        life = self._life = Life(self, parts, self.link, identity, runner, core)
        runner.told = life.handle
        life.begin()
        self._log.info(
            "node {name} is up, incarnation {incarnation}",
            name=identity.name,
            incarnation=identity.incarnation,
        )
        self._upkeep.start()
        if self.link is not None and self._life is life:  # the first commit may have failed
            self.link.start()
        looked = Deferred.fromCoroutine(parts.waiters.look(parts.store))
        looked.addErrback(life.unread)

    async def _tidy(self) -> None:
        try:
            await self._parts.outputs.tidy()
        except JobclusterError as reason:
            self._log.warn("what is left of outputs cannot be removed: {reason}", reason=reason)

    def _not_opened(self, failure: Failure) -> None:
        if failure.check(StoreFailedError) and self.identity is not None:
            self._log.warn("the disk is still sick: {reason}", reason=failure.getErrorMessage())
            self._begin_anew("the node's disk failed", StoreFailedError())
        elif failure.check(KeeperError) and self.identity is not None:
            self._log.warn("cannot go on yet: {reason}", reason=failure.getErrorMessage())
            self._begin_anew("the node has no keeper", StoreFailedError())
        elif failure.check(JobclusterError):
            self._fatal(failure.getErrorMessage())
        else:
            self._log.failure("cannot open the state directory", failure)
            self._fatal(f"cannot open the state directory: {failure.getErrorMessage()}")

    def broken(self, life: Life, failure: Failure) -> None:
        """
        Begin again from the store: nobody knows what is on the disk.
        """
        if life is not self._life:
            return
        if failure.check(StateGoneError):
            self._end_life()
            self._fatal(failure.getErrorMessage())
            return
        self._log.warn("a commit failed: {reason}", reason=failure.getErrorMessage())
        self._begin_anew("the node's disk failed", StoreFailedError())

    def superseded(self, life: Life) -> None:
        """
        Begin anew, with a greater incarnation than that of the process that has joined.
        """
        if life is self._life:
            self._begin_anew("a newer process has joined", StoreOpeningError())

    def _begin_anew(self, reason: str, trouble: StoreError) -> None:
        clock = self._parts.clock
        before, self._begun_at = self._begun_at, clock.seconds()
        calm = before is None or self._begun_at - before > _CALM
        self._trouble = trouble
        self._end_life()
        if self.link is not None:
            self.link.pause(reason)
        if self.running:
            self._retry = clock.callLater(0 if calm else _REOPEN_AFTER, self._open)

    def _end_life(self) -> None:
        life, self._life = self._life, None
        if life is not None:
            life.end()
        self._parts.requests.fail_all(NotAcknowledgedError)
        self.stopped()

    def stopped(self) -> None:
        """
        The core has nothing more to say.
        """
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            left = None if self.link is None else self.link.left
            (left or succeed(None)).addBoth(lambda _: stopped.callback(None))

    # -- for its clients ---------------------------------------------------------------------------

    @property
    def core(self) -> Node | None:
        """The core; C{None} while the store cannot be used."""
        return None if self._life is None else self._life.core

    @property
    def store(self) -> IStore:
        """What this node remembers."""
        return self._parts.store

    @property
    def outputs(self) -> IOutputs:
        """The long outputs that it has recorded."""
        return self._parts.outputs

    def trouble(self) -> StoreError:
        """
        Why there is no core just now.
        """
        return self._trouble

    def handle(self, event: NodeEvent) -> None:
        """
        Something happened.
        """
        if self._life is not None:
            self._life.handle(event)

    def submit(self, specs: Sequence[Spec]) -> Deferred[tuple[int | JobclusterError, ...]]:
        """
        Fires, once they are on the disk, with the ids of jobs, and for those that are not taken
        with the reason.

        Fails with a L{StoreError}.
        """
        if self._life is None:
            return fail(self.trouble())
        wanted = tuple(specs)
        room = self._parts.store.free() >= self._parts.setup.min_free
        if not room and not any(spec.key for spec in wanted):
            return fail(StoreFullError())
        return self._parts.requests.ask(
            lambda number: self.handle(JobsRequested(number, wanted, room))
        )

    def cancel(self, jobs: Sequence[int]) -> Deferred[tuple[str, ...]]:
        """
        Take the wish to cancel jobs; fires with what became of it, for each, once it is committed.

        Fails with a L{StoreError}.
        """
        if self._life is None:
            return fail(self.trouble())
        wanted = tuple(jobs)
        return self._parts.requests.ask(lambda number: self.handle(CancelRequested(number, wanted)))

    @property
    def recent(self) -> Recent:
        """Those of its jobs that have just ended."""
        return self._parts.recent

    def end_of(self, job: int) -> Deferred[JobView]:
        """
        Fires with a job of this node that has no outcome yet, when it has one; may be cancelled.
        """
        return self._parts.waiters.add(job)

    @property
    def waiters(self) -> Waiters:
        """Those who wait for outcomes of its jobs."""
        return self._parts.waiters

    def payload(self, job: int, store: str, offset: int, limit: int) -> Deferred[bytes]:
        """
        Fires with a piece of what an unfinished job of this node is to run.

        Fails with a L{StoreError}, or with a L{PeerError} if another store is meant.
        """
        if self.identity is None or self.identity.store != store:
            return fail(PeerError("that job is of another store"))
        return self._parts.store.payload(job, offset, limit)

    def kept_output(self, ref: Ref, stream: str, offset: int, limit: int) -> bytes:
        """
        A piece of the output of an offer that has ended here.

        @raise OutputMissingError: if it is not kept.
        @raise StoreError: while the node begins anew.
        """
        if self._life is None:
            raise self.trouble()
        if stream not in ("out", "err"):
            raise OutputMissingError
        return self._life.runner.output(ref, stream, offset, limit)

    def live_output(self, ref: Ref, stream: str, offset: int, limit: int) -> bytes:
        """
        A piece of the output of an offer that is held here, as far as it is there now.

        @raise OutputMissingError: if it is not held.
        @raise StoreError: while the node begins anew.
        """
        if self._life is None:
            raise self.trouble()
        if stream not in ("out", "err") or not self._life.core.holds(ref):
            raise OutputMissingError
        try:
            return self._life.runner.live(ref, stream, offset, limit)
        except OutputMissingError:
            return b""  # it waits, or puts nothing out, or that can be had at its end alone

    def _commit_if_idle(self, changes: Sequence[Change]) -> None:
        if self._life is not None:
            self._life.commit_if_idle(changes)
