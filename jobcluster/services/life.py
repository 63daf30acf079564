"""
One life of a node's core, from the opening of its store until that is opened anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobcluster.core.actions import (
    Answer,
    CloseConnection,
    CollectOutput,
    DropRuns,
    ExtendLease,
    FetchPayload,
    Leave,
    LoadJobs,
    LoadKeys,
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
from jobcluster.core.events import JobsLoaded, KeysLoaded, NodeEvent, PageLoaded, Ticked
from jobcluster.core.node import Node
from jobcluster.core.records import Change, Identity
from jobcluster.core.values import Job, Keyed, format_ticket
from jobcluster.core.views import Ask, Reply
from jobcluster.errors import BalancerAwayError
from jobcluster.interfaces import IOutputs, IRunner, IStore
from jobcluster.services.balancer_link import BalancerLink
from jobcluster.services.clocks import Clocks
from jobcluster.services.notes import log_note
from jobcluster.services.perform import Performer
from jobcluster.services.recent import Recent
from jobcluster.services.requests import Requests, Waiters
from jobcluster.services.setup import Setup
from jobcluster.services.transfers import Transfers

__all__ = ["Life", "Owner", "Parts"]


@attrs.frozen
class Parts:
    """What the lives of a node have in common."""

    clock: IReactorTime
    clocks: Clocks
    store: IStore
    outputs: IOutputs
    setup: Setup
    requests: Requests = attrs.field(factory=Requests)
    waiters: Waiters = attrs.field(factory=Waiters)
    recent: Recent = attrs.field(factory=Recent)


class Owner(Protocol):
    """
    Who is told when a life ends.
    """

    def broken(self, life: Life, failure: Failure, /) -> None:
        """A commit or a read failed: nobody knows what is on the disk."""

    def superseded(self, life: Life, /) -> None:
        """A newer process with the same store has joined."""

    def stopped(self) -> None:
        """The node has nothing more to say."""


class Life:
    """
    Carries events to a core, and carries out what it answers, after what must be committed.
    """

    def __init__(
        self,
        owner: Owner,
        parts: Parts,
        link: BalancerLink | None,
        identity: Identity,
        runner: IRunner,
        core: Node,
    ) -> None:
        """
        Begin; L{begin} is to be called before anything else.
        """
        self._owner = owner
        self._parts = parts
        self._link = link
        self._identity = identity
        self.runner = runner
        self.core = core
        self._log = Logger(namespace="jobcluster.node")
        self._timer: IDelayedCall | None = None
        self._over = False
        self._transfers = Transfers(
            identity, runner, parts.outputs, self._ask, self._room, self.handle
        )
        self._performer = Performer(
            parts.store.commit, self._do, lambda failure: owner.broken(self, failure)
        )
        self._actions: dict[type, Callable[[Any], object]] = {
            Answer: self._answer,
            Outcomes: self._outcomes,
            LoadJobs: self._load_jobs,
            LoadPage: self._load_page,
            LoadKeys: self._load_keys,
            CollectOutput: self._transfers.collect,
            FetchPayload: self._transfers.fetch,
            SendJoin: self._send_join,
            SendReport: self._send_report,
            Leave: self._leave,
            Rebuild: lambda _: owner.superseded(self),
            Stopped: lambda _: owner.stopped(),
            StartRuns: self._start_runs,
            StopRuns: lambda action: runner.stop(action.refs),
            DropRuns: lambda action: runner.drop(action.refs),
            ExtendLease: lambda action: runner.lease(action.until),
            CloseConnection: self._close_connection,
            Note: lambda action: log_note(self._log, action, verbose=parts.setup.verbose),
        }

    def begin(self) -> None:
        """
        Take up what an earlier process of this node left.
        """
        self._performer.perform(self.core.begin(self._parts.clocks()))

    def end(self) -> None:
        """
        Do nothing any more.
        """
        self._over = True
        self._performer.abandon()
        self._transfers.abandon()
        self.runner.close()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    # -- events and actions ------------------------------------------------------------------------

    def handle(self, event: NodeEvent) -> None:
        """Something happened."""
        if self._over:
            return
        self._performer.perform(self.core.handle(event, self._parts.clocks()))
        self._schedule()

    def commit_if_idle(self, changes: Sequence[Change]) -> None:
        """
        Commit this if nothing waits for a commit.
        """
        if not self._over and not self._performer.waiting:
            self._performer.perform([Persist(tuple(changes))])

    def _schedule(self) -> None:
        wait = None if self._over else self.core.wake(self._parts.clocks())
        if wait is None:
            return
        timer = self._timer
        if timer is not None and timer.active():
            if timer.getTime() <= self._parts.clock.seconds() + wait:
                return
            timer.cancel()
        self._timer = self._parts.clock.callLater(wait, self.handle, Ticked())

    def _do(self, action: NodeAction) -> None:
        self._actions[type(action)](action)

    # -- clients -----------------------------------------------------------------------------------

    def _ticket(self, job: int) -> str:
        return format_ticket(self._identity.name, job)

    def _answer(self, action: Answer) -> None:
        if self._parts.setup.verbose:
            for job in action.value:
                if isinstance(job, int):
                    self._log.info("{ticket} was submitted", ticket=self._ticket(job))
        self._parts.requests.answer(action)

    def _outcomes(self, action: Outcomes) -> None:
        if self._parts.setup.verbose:
            for view in action.jobs:
                status = "" if view.outcome is None else view.outcome.status
                ticket = self._ticket(view.job)
                self._log.info("{ticket} ended: {status}", ticket=ticket, status=status)
        for view in action.jobs:
            self._parts.recent.add(view)
            self._parts.waiters.tell(view)

    # -- the store ---------------------------------------------------------------------------------

    def _load_jobs(self, action: LoadJobs) -> None:
        def loaded(found: tuple[Job, ...]) -> None:
            self.handle(JobsLoaded(action.jobs, found))

        self._parts.store.load(action.jobs).addCallbacks(loaded, self.unread)

    def _load_page(self, action: LoadPage) -> None:
        def loaded(found: tuple[Job, ...]) -> None:
            self.handle(PageLoaded(action.requires, found))

        page = self._parts.store.page(action.requires, action.after, action.limit)
        page.addCallbacks(loaded, self.unread)

    def _load_keys(self, action: LoadKeys) -> None:
        def loaded(found: tuple[Keyed, ...]) -> None:
            self.handle(KeysLoaded(found))

        self._parts.store.keys(action.keys).addCallbacks(loaded, self.unread)

    def unread(self, failure: Failure) -> None:
        """What cannot be read is as bad as what cannot be written."""
        if not self._over:
            self._owner.broken(self, failure)

    # -- the balancer and the runner ---------------------------------------------------------------

    def _ask(self, ask: Ask) -> Deferred[Reply]:
        return fail(BalancerAwayError()) if self._link is None else self._link.ask(ask)

    def _room(self) -> int:
        return self._parts.store.free() - self._parts.setup.min_free

    def _send_join(self, action: SendJoin) -> None:
        if self._link is not None:
            self._link.join(action.connection, action.parts)

    def _send_report(self, action: SendReport) -> None:
        if self._link is not None:
            self._link.say(action.connection, action.report)

    def _leave(self, action: Leave) -> None:
        if self._link is not None:
            self._link.leave(action.connection, keep=action.keep)

    def _close_connection(self, action: CloseConnection) -> None:
        if self._link is not None:
            self._link.close(action.connection, action.reason)

    def _start_runs(self, action: StartRuns) -> None:
        if self._parts.setup.verbose:
            for run in action.runs:
                self._log.info("{ticket} starts", ticket=format_ticket(run.origin, run.job))
        self.runner.start(action.runs)
