"""
A node's shell: store, runner, balancer and clients around its core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.defer import TimeoutError as TwistedTimeoutError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobcluster.core.actions import (
    Answer,
    CloseConnection,
    DropRuns,
    ExtendLease,
    Leave,
    LoadJobs,
    LoadPage,
    NodeAction,
    Note,
    Outcomes,
    Persist,
    Rebuild,
    SendJoin,
    SendReport,
    StartRuns,
    Stopped,
    StopRuns,
)
from jobcluster.core.events import (
    CancelRequested,
    JobsLoaded,
    JobsRequested,
    NodeEvent,
    PageLoaded,
    StopRequested,
    Ticked,
)
from jobcluster.core.node import Node
from jobcluster.core.records import Change, Identity
from jobcluster.core.values import Job, Outcome, Spec, format_ticket
from jobcluster.errors import (
    JobclusterError,
    NotAcknowledgedError,
    StateGoneError,
    StoreError,
    StoreFailedError,
    StoreFullError,
    StoreOpeningError,
)
from jobcluster.interfaces import IRunner, IStore
from jobcluster.services.balancer_link import BalancerLink
from jobcluster.services.clocks import Clocks
from jobcluster.services.notes import log_note
from jobcluster.services.perform import Performer
from jobcluster.services.requests import Requests, Waiters
from jobcluster.services.setup import Setup
from jobcluster.services.upkeep import Upkeep

__all__ = ["NodeService", "Setup"]

_REOPEN_AFTER: Final = 1.0
"""Seconds after which a sick disk is tried again."""

_CALM: Final = 10.0
"""Seconds after which a node that has begun anew does so at once, when it has to again."""

_ROOM: Final = 256 * 1024
"""Bytes that must be free for a node to go on whose commit has failed."""

_STOP_LIMIT: Final = 10.0
"""Seconds in which a node that stops in order is to have said all it has to."""


class NodeService(Service):
    """
    Carries events to a node's core, and carries out what it answers, after what must be committed.
    """

    def __init__(
        self,
        clock: IReactorTime,
        clocks: Clocks,
        store: IStore,
        make_runner: Callable[[], IRunner],
        setup: Setup,
        fatal: Callable[[str], None],
    ) -> None:
        """
        A node that opens its store when it is started.

        @param clock: the reactor.
        @param clocks: reads the three clocks.
        @param make_runner: makes what runs jobs, anew each time the core is rebuilt.
        @param fatal: called with one line if the node cannot go on.
        """
        self._clock = clock
        self._clocks = clocks
        self._store = store
        self._make_runner = make_runner
        self._setup = setup
        self._fatal = fatal
        self._log = Logger(namespace="jobcluster.node")
        self.link: BalancerLink | None = None
        """Set by whoever builds the node, before it is started."""
        self._core: Node | None = None
        self._runner: IRunner | None = None
        self._performer: Performer | None = None
        self._timer: IDelayedCall | None = None
        self._retry: IDelayedCall | None = None
        self._upkeep = Upkeep(clock, clocks, store, setup.retention, self._commit_if_idle)
        self._requests = Requests()
        self._waiters = Waiters()
        self._stopped: Deferred[None] | None = None
        self._trouble: StoreError = StoreOpeningError()
        self._begun_at: float | None = None
        """When it last had to begin anew."""
        self.identity: Identity | None = None
        """Who this node is, once its store is open."""
        self._actions: dict[type, Callable[[Any], object]] = {
            Answer: self._answer,
            Outcomes: self._outcomes,
            LoadJobs: self._load_jobs,
            LoadPage: self._load_page,
            SendJoin: self._send_join,
            SendReport: self._send_report,
            Leave: self._leave,
            Rebuild: lambda _: self._begin_anew("a newer process has joined", StoreOpeningError()),
            Stopped: self._say_stopped,
            StartRuns: self._start_runs,
            StopRuns: lambda action: self._running.stop(action.refs),
            DropRuns: lambda action: self._running.drop(action.refs),
            ExtendLease: lambda action: self._running.lease(action.until),
            CloseConnection: self._close_connection,
            Note: lambda action: log_note(self._log, action, verbose=self._setup.verbose),
        }

    # -- as a service ------------------------------------------------------------------------------

    def startService(self) -> None:
        """
        Open the store, then connect.
        """
        Service.startService(self)
        self._open()

    def stopService(self) -> Deferred[None]:
        """
        Stop in order; fires when everything is said and the store is closed.
        """
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._upkeep.stop()
        if self._retry is not None and self._retry.active():
            self._retry.cancel()
        if self._core is not None:
            stopped: Deferred[None] = Deferred()
            self._stopped = stopped
            self.handle(StopRequested(self._setup.keep))
            try:
                await stopped.addTimeout(_STOP_LIMIT, self._clock)
            except TwistedTimeoutError:
                self._log.warn("not everything could be said before the node stopped")
        self._forget_core()
        if self.link is not None:
            await self.link.stop()
        await self._store.close()

    # -- opening and rebuilding --------------------------------------------------------------------

    def _open(self) -> None:
        self._retry = None
        if self.identity is not None and self._store.free() < _ROOM:
            # The next commit would fail as the last one did.
            self._retry = self._clock.callLater(_REOPEN_AFTER, self._open)
            return
        Deferred.fromCoroutine(self._build()).addErrback(self._not_opened)

    async def _build(self) -> None:
        setup = self._setup
        identity, recovered = await self._store.open(
            setup.name, setup.boot, setup.fresh_store, setup.random(), setup.first_job
        )
        runner = self._make_runner()
        runner.told = self.handle
        keeper, adopted = await runner.inventory()
        if not self.running:
            return
        self.identity = identity
        self._runner = runner
        self._performer = Performer(self._store.commit, self._do, self._broken)
        now = self._clocks()
        self._core = Node(identity, recovered, setup.settings, keeper, adopted, now)
        self._performer.perform(self._core.begin(now))
        self._log.info(
            "node {name} is up, incarnation {incarnation}",
            name=identity.name,
            incarnation=identity.incarnation,
        )
        self._upkeep.start()
        if self.link is not None and self._core is not None:  # the first commit may have failed
            self.link.start()
        looked = Deferred.fromCoroutine(self._waiters.look(self._store))
        looked.addErrback(self._unread, self._core)

    def _not_opened(self, failure: Failure) -> None:
        if failure.check(StoreFailedError) and self.identity is not None:
            self._log.warn("the disk is still sick: {reason}", reason=failure.getErrorMessage())
            self._begin_anew("the node's disk failed", StoreFailedError())
        elif failure.check(JobclusterError):
            self._fatal(failure.getErrorMessage())
        else:
            self._log.failure("cannot open the state directory", failure)
            self._fatal(f"cannot open the state directory: {failure.getErrorMessage()}")

    def _broken(self, failure: Failure) -> None:
        """A commit failed: nobody knows what is on the disk, so begin again from there."""
        if failure.check(StateGoneError):
            self._forget_core()
            self._fatal(failure.getErrorMessage())
            return
        self._log.warn("a commit failed: {reason}", reason=failure.getErrorMessage())
        self._begin_anew("the node's disk failed", StoreFailedError())

    def _begin_anew(self, reason: str, trouble: StoreError) -> None:
        before, self._begun_at = self._begun_at, self._clock.seconds()
        calm = before is None or self._begun_at - before > _CALM
        self._trouble = trouble
        self._forget_core()
        if self.link is not None:
            self.link.pause(reason)
        if self.running:
            self._retry = self._clock.callLater(0 if calm else _REOPEN_AFTER, self._open)

    def _forget_core(self) -> None:
        self._core = None
        if self._performer is not None:
            self._performer.abandon()
        if self._runner is not None:
            self._runner.close()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._requests.fail_all(NotAcknowledgedError)
        self._say_stopped(Stopped())

    # -- events and actions ------------------------------------------------------------------------

    @property
    def core(self) -> Node | None:
        """The core; C{None} while the store cannot be used."""
        return self._core

    @property
    def store(self) -> IStore:
        """What this node remembers."""
        return self._store

    def trouble(self) -> StoreError:
        """
        Why there is no core just now.
        """
        return self._trouble

    @property
    def _running(self) -> IRunner:
        assert self._runner is not None  # noqa: S101 - only a built core acts
        return self._runner

    def handle(self, event: NodeEvent) -> None:
        """Something happened."""
        if self._core is None or self._performer is None:
            return
        self._performer.perform(self._core.handle(event, self._clocks()))
        self._schedule()

    def _schedule(self) -> None:
        wait = None if self._core is None else self._core.wake(self._clocks())
        if wait is None:
            return
        timer = self._timer
        if timer is not None and timer.active():
            if timer.getTime() <= self._clock.seconds() + wait:
                return
            timer.cancel()
        self._timer = self._clock.callLater(wait, self.handle, Ticked())

    def _do(self, action: NodeAction) -> None:
        self._actions[type(action)](action)

    # -- clients -----------------------------------------------------------------------------------

    def submit(self, specs: Sequence[Spec]) -> Deferred[tuple[int, ...]]:
        """Fires with the ids of new jobs once they are on the disk, or with a L{StoreError}."""
        if self._core is None:
            return fail(self.trouble())
        if self._store.free() < self._setup.min_free:
            return fail(StoreFullError())
        wanted = tuple(specs)
        return self._requests.ask(lambda number: self.handle(JobsRequested(number, wanted)))

    def cancel(self, jobs: Sequence[int]) -> Deferred[tuple[str, ...]]:
        """
        Take the wish to cancel jobs; fires with what became of it, for each, once it is committed.

        Fails with a L{StoreError}.
        """
        if self._core is None:
            return fail(self.trouble())
        wanted = tuple(jobs)
        return self._requests.ask(lambda number: self.handle(CancelRequested(number, wanted)))

    def outcome_of(self, job: int) -> Deferred[Outcome]:
        """
        Fires with the outcome of a job of this node that has none yet; may be cancelled.
        """
        return self._waiters.add(job)

    def _ticket(self, job: int) -> str:
        return format_ticket(self.identity.name if self.identity else "", job)

    def _answer(self, action: Answer) -> None:
        if self._setup.verbose:
            for job in action.value:
                if isinstance(job, int):
                    self._log.info("{ticket} was submitted", ticket=self._ticket(job))
        self._requests.answer(action)

    def _outcomes(self, action: Outcomes) -> None:
        if self._setup.verbose:
            for job, outcome in action.outcomes:
                ticket = self._ticket(job)
                self._log.info("{ticket} ended: {status}", ticket=ticket, status=outcome.status)
        self._waiters.tell(action)

    # -- the store ---------------------------------------------------------------------------------

    def _load_jobs(self, action: LoadJobs) -> None:
        def loaded(found: tuple[Job, ...]) -> None:
            self._if_current(core, JobsLoaded(action.jobs, found))

        core = self._core
        self._store.load(action.jobs).addCallbacks(loaded, self._unread, errbackArgs=(core,))

    def _load_page(self, action: LoadPage) -> None:
        def loaded(found: tuple[Job, ...]) -> None:
            self._if_current(core, PageLoaded(action.requires, found))

        core = self._core
        page = self._store.page(action.requires, action.after, action.limit)
        page.addCallbacks(loaded, self._unread, errbackArgs=(core,))

    def _if_current(self, core: Node | None, event: NodeEvent) -> None:
        if core is self._core:
            self.handle(event)

    def _unread(self, failure: Failure, core: Node | None) -> None:
        """What cannot be read is as bad as what cannot be written."""
        if core is self._core and core is not None:
            self._broken(failure)

    def _commit_if_idle(self, changes: Sequence[Change]) -> None:
        if self._performer is not None and not self._performer.waiting:
            self._performer.perform([Persist(tuple(changes))])

    # -- the balancer and the runner ---------------------------------------------------------------

    def _send_join(self, action: SendJoin) -> None:
        if self.link is not None:
            self.link.join(action.connection, action.parts)

    def _send_report(self, action: SendReport) -> None:
        if self.link is not None:
            self.link.say(action.connection, action.report)

    def _leave(self, action: Leave) -> None:
        if self.link is not None:
            self.link.leave(action.connection, keep=action.keep)

    def _close_connection(self, action: CloseConnection) -> None:
        if self.link is not None:
            self.link.close(action.connection, action.reason)

    def _start_runs(self, action: StartRuns) -> None:
        if self._setup.verbose:
            for run in action.runs:
                self._log.info("{ticket} starts", ticket=format_ticket(run.origin, run.job))
        self._running.start(action.runs)

    def _say_stopped(self, _: Stopped) -> None:
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            left = None if self.link is None else self.link.left
            (left or succeed(None)).addBoth(lambda _: stopped.callback(None))
