"""
The jobs that this node took: what it says to the balancer about them, and what it writes down.

It decides when a job is offered, whose run of it counts, and how it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from jobcluster.core.actions import Answer, LoadJobs, Outcomes
from jobcluster.core.jobs import Act, OriginJob
from jobcluster.core.losses import CRASH_LIMIT, Losses
from jobcluster.core.out import Out
from jobcluster.core.records import BoundJob, EndedJob, Identity, Recovered
from jobcluster.core.values import (
    Job,
    Now,
    Offer,
    Outcome,
    Spec,
    Status,
    mint_job_id,
)
from jobcluster.core.window import Window
from jobcluster.core.words import (
    Ended,
    HeldBy,
    LostBy,
    Nobody,
    Offered,
    Placed,
    Question,
    StartedBy,
    Told,
)

__all__ = ["Origin"]

_SUSPECT_AT: Final = 2
"""Crashes after which a job is one of those of which a node is given one at a time (part 3)."""

_NO_OFFER: Final[Offer] = (0, 0)


class Origin:
    """
    A node as the owner of jobs.
    """

    def __init__(self, identity: Identity, recovered: Recovered, limit: int) -> None:
        """
        Take up what the store knows; none of it has been said to any balancer.

        @param limit: the most jobs in one window.
        """
        self._identity = identity
        self._last_job = recovered.last_job
        self._old_jobs = recovered.last_job
        """Jobs up to here are of earlier incarnations: a balancer may have heard of them."""
        self._serial = 0
        self._joined = False
        self.jobs: dict[int, OriginJob] = {}
        """The unfinished jobs in memory, by their ids."""
        self.window = Window({lane.requires: lane.waiting for lane in recovered.lanes}, limit)
        self._losses = Losses()
        self._pending: dict[int, list[Callable[[Out, Now], None]]] = {}
        self.old_news = 0
        """Words about offers that are no longer the present ones, counted."""
        for row in recovered.questions:
            self._remember(row, put=True)
        self._acts: dict[Act, Callable[[OriginJob, _Told, Out, Now], None]] = {
            Act.OFFER: self._offer,
            Act.RECORD_LOSS: self._record_loss,
            Act.BIND: self._bind,
            Act.UNBIND: self._unbind,
            Act.KEEP: self._answer("keep"),
            Act.CANCEL: self._answer("cancel"),
            Act.DROP: self._answer("drop"),
            Act.WISH: self._wish,
            Act.ASK: self._ask,
            Act.END: self._end,
            Act.END_CANCELLED: self._end_as(Status.CANCELLED),
            Act.END_LOST: self._end_as(Status.LOST),
            Act.END_QUARANTINED: self._end_as(Status.QUARANTINED),
        }

    # -- from clients ------------------------------------------------------------------------------

    def submit(self, request: int, specs: Iterable[Spec], out: Out, now: Now) -> None:
        """
        Take new jobs; their ids are answered once they are committed.
        """
        ids = []
        for spec in specs:
            self._last_job = mint_job_id(self._last_job, now.wall)
            row = Job(
                self._last_job,
                spec.kind,
                spec.payload,
                spec.priority,
                spec.requires,
                spec.on_node_loss,
                int(now.wall * 1000),
            )
            ids.append(row.id)
            out.submitted(row)
            if self.window.admits(row):
                self._put_forward(self._remember(row, put=False), out, now)
        out.after(Answer(request, tuple(ids)))

    def cancel(self, request: int, jobs: tuple[int, ...], out: Out, now: Now) -> None:
        """
        Take the wish to cancel jobs; what became of it is answered once that is committed.
        """
        answers: dict[int, str] = {}

        def cancelled(id: int, answer: str, out: Out) -> None:  # noqa: A002 - it is one
            answers[id] = answer
            if len(answers) == len(set(jobs)):
                out.after(Answer(request, tuple(answers[job] for job in jobs)))

        for id_ in set(jobs):

            def found(out: Out, now: Now, id_: int = id_) -> None:
                cancelled(id_, self._cancel(id_, out, now), out)

            self._when_in_memory(id_, found, out, now)

    def _cancel(self, id_: int, out: Out, now: Now) -> str:
        job = self.jobs.get(id_)
        if job is None:
            return "ended"
        if job.state == "waiting" and not job.put:
            self._live(job, job.life.cancelled_free(), _Told(), out, now)
            return "cancelled"
        told = _Told(job.offer or _NO_OFFER)
        self._live(job, job.life.cancelled(), told, out, now)
        return "cancelling"

    # -- from the store ----------------------------------------------------------------------------

    def loaded(self, wanted: Iterable[int], found: Iterable[Job], out: Out, now: Now) -> None:
        """
        Jobs that somebody spoke of are in memory, or have ended.
        """
        fresh = []
        for row in found:
            if row.id not in self.jobs:
                self.window.found(row)
                fresh.append(self._remember(row, put=row.id <= self._old_jobs))
        for id_ in wanted:
            for word in self._pending.pop(id_, ()):
                word(out, now)
        for job in fresh:
            self._put_forward(job, out, now)

    def page_loaded(self, requires: str, jobs: tuple[Job, ...], out: Out, now: Now) -> None:
        """
        More of the jobs that wait in the store.
        """
        self.window.loaded(requires, jobs)
        for row in jobs:
            if row.id not in self.jobs:
                self.window.found(row)
                job = self._remember(row, put=row.id <= self._old_jobs)
                self._put_forward(job, out, now)

    def fill(self, out: Out) -> None:
        """
        Read on where a window has room.
        """
        for page in self.window.loads():
            out.after(page)

    def _when_in_memory(
        self, id_: int, word: Callable[[Out, Now], None], out: Out, now: Now
    ) -> None:
        """Do this at once, or when the store has been asked about the job."""
        if id_ in self.jobs:
            word(out, now)
        elif id_ in self._pending:
            self._pending[id_].append(word)
        else:
            self._pending[id_] = [word]
            out.after(LoadJobs((id_,)))

    # -- from the balancer -------------------------------------------------------------------------

    def joining(self, now: Now) -> tuple[list[Offered], list[Question]]:
        """
        What to put into a join: the window, and the questions (rule 1).
        """
        offers, questions = [], []
        for job in self.jobs.values():
            state = job.state
            if state == "waiting":
                offers.append(self._make_offer(job))
            elif job.cancelling or state == "bound":
                questions.append(self._question(job))
        del now
        self._joined = True
        return offers, questions

    def parted(self, out: Out, now: Now) -> None:
        """
        The connection ended: who holds what is known no longer.
        """
        self._joined = False
        for job in list(self.jobs.values()):
            job.asked = None
            if job.row.bound is None:
                self._losses.leave_open(job)
                job.absent()
            self._live(job, job.life.parted(), _Told(), out, now)

    def placed(self, rows: Iterable[Placed], out: Out, now: Now) -> None:
        """
        Offers were given to nodes; so nobody holds any older one.
        """
        for row in rows:
            job = self.jobs.get(row.job)
            offer = (row.incarnation, row.serial)
            if job is None or job.offer != offer or job.state != "offered":
                self.old_news += 1
                continue
            self._losses.record_open(job, out, now)
            job.present(offer, row.node, row.keeper, 0)
            acts = job.life.reserved() if job.once else job.life.placed()
            self._live(job, acts, _Told(offer, node=row.node, store=row.store), out, now)

    def started(self, rows: Iterable[StartedBy], out: Out, now: Now) -> None:
        """
        Offers were started.
        """
        for row in rows:
            job = self.jobs.get(row.job)
            if job is None or job.offer != (row.incarnation, row.serial):
                self.old_news += 1
            else:
                self._started(job, row.at, out, now)

    def _started(self, job: OriginJob, at: int, out: Out, now: Now) -> None:
        job.started = at
        self._losses.started(job, now)
        self._live(job, job.life.started(), _Told(), out, now)

    def held(self, rows: Iterable[HeldBy], out: Out, now: Now) -> None:
        """
        Joined nodes hold offers: keep, cancel or drop (rule 2).
        """
        for row in rows:

            def found(out: Out, now: Now, row: HeldBy = row) -> None:
                self._held(row, out, now)

            self._when_in_memory(row.job, found, out, now)

    def _held(self, row: HeldBy, out: Out, now: Now) -> None:
        offer = (row.incarnation, row.serial)
        told = _Told(offer, job=row.job, node=row.node)
        job = self.jobs.get(row.job)
        if job is None or not self._may_hold(job, row, out):
            self._say("drop", told, out)
            return
        if job.offer is not None and job.node and job.offer < offer and job.row.bound is None:
            # All but the highest held offer are dropped.
            self._say("drop", _Told(job.offer, job=job.row.id), out)
            self._losses.leave_open(job)
        bound = job.row.bound is not None
        if not bound:
            self._present(job, offer, row.node, row.keeper, row.started)
        acts = job.life.held_bound() if bound else job.life.held()
        self._live(job, acts, told, out, now)
        if row.state == "running":
            self._started(job, row.started, out, now)

    def _may_hold(self, job: OriginJob, row: HeldBy, out: Out) -> bool:
        """Whether the run of an offer is wanted."""
        offer = (row.incarnation, row.serial)
        if self._losses.is_lost(job, offer):
            self._losses.returned(job, offer, row.keeper, out)
            return False
        if job.once:
            return job.row.bound is not None and job.row.bound[:2] == offer
        return job.offer is None or not job.node or job.offer <= offer

    def _present(self, job: OriginJob, offer: Offer, node: str, keeper: str, at: int) -> None:
        started = job.started if job.offer == offer else 0
        job.present(offer, node, keeper, at or started)

    def nobody(self, rows: Iterable[Nobody], out: Out, now: Now) -> None:
        """
        Nobody holds these.
        """
        for row in rows:
            job = self.jobs.get(row.job)
            offer = (row.incarnation, row.serial)
            if job is None or not self._is_answer(job, offer):
                self.old_news += 1
                continue
            told = _Told(offer, node=job.node, cause="not-held", at=job.started)
            acts = job.life.lost() if row.gone else job.life.denied()
            self._live(job, acts, told, out, now)

    def lost(self, rows: Iterable[LostBy], out: Out, now: Now) -> None:
        """
        Whoever held these is lost (rule 4).
        """
        for row in rows:

            def found(out: Out, now: Now, row: LostBy = row) -> None:
                self._lost(row, out, now)

            self._when_in_memory(row.job, found, out, now)

    def _lost(self, row: LostBy, out: Out, now: Now) -> None:
        job = self.jobs.get(row.job)
        offer = (row.incarnation, row.serial)
        told = _Told(offer, node=row.node, cause=row.cause, at=row.started, keeper=row.keeper)
        if job is None:
            self.old_news += 1
        elif self._is_answer(job, offer):
            told.at = row.started or job.started
            self._live(job, job.life.lost(), told, out, now)
        else:
            self.old_news += 1
            self._record_loss(job, told, out, now)

    @staticmethod
    def _is_answer(job: OriginJob, offer: Offer) -> bool:
        """Whether this word about an offer decides what becomes of the job."""
        if job.offer is None:
            return job.cancelling
        return offer in (job.offer, job.asked)

    def outcomes(self, rows: Iterable[Ended], out: Out, now: Now) -> None:
        """
        Offers ended elsewhere; acknowledged once that is committed.
        """
        for row in rows:

            def found(out: Out, now: Now, row: Ended = row) -> None:
                self._outcome(row, out, now)

            self._when_in_memory(row.job, found, out, now)

    def _outcome(self, row: Ended, out: Out, now: Now) -> None:
        job = self.jobs.get(row.job)
        offer = (row.incarnation, row.serial)
        told = _Told(offer, job=row.job, outcome=row.outcome)
        if job is None:
            # It has an outcome: this one was told twice, or comes too late.
            self._say("acknowledge", told, out)
        elif job.offer != offer or self._losses.is_lost(job, offer):
            self.old_news += 1
            self._say("drop", told, out)
        elif row.outcome.status == Status.LOST:
            told.cause = row.outcome.detail
            told.node, told.keeper = row.outcome.node, job.keeper
            told.at = row.outcome.started or job.started
            self._live(job, job.life.lost(), told, out, now)
            self._say("acknowledge", told, out)
        else:
            self._live(job, job.life.ended(), told, out, now)
            self._say("acknowledge", told, out)

    # -- what this node itself runs ----------------------------------------------------------------

    def own_started(self, id_: int, offer: Offer, at: int, out: Out, now: Now) -> None:
        """
        This node has started an offer of its own.
        """
        job = self.jobs.get(id_)
        if job is not None and job.offer == offer:
            self._started(job, at, out, now)

    def own_ended(self, row: Ended, done: Callable[[Out, Now], None], out: Out, now: Now) -> None:
        """
        An offer ended here.

        @param done: called when its outcome is among the changes, or is not wanted.
        """

        def found(out: Out, now: Now) -> None:
            job = self.jobs.get(row.job)
            offer = (row.incarnation, row.serial)
            if job is not None and not job.node:
                # Nobody needs to tell this node what it holds itself.
                name, at = self._identity.name, row.outcome.started
                self._held(HeldBy(row.job, *offer, name, "", "ended", at), out, now)
            self._outcome(row, out, now)
            done(out, now)

        self._when_in_memory(row.job, found, out, now)

    def payload_of(self, id_: int, offer: Offer) -> bytes | None:
        """
        What this node was given of its own, or C{None} if it is not to be run any more.
        """
        job = self.jobs.get(id_)
        return None if job is None or job.offer != offer else job.row.payload

    # -- time --------------------------------------------------------------------------------------

    def tick(self, out: Out, now: Now) -> None:
        """
        Write down which attempts run for a while already.
        """
        self._losses.record_starts(self.jobs, out, now)

    def wake(self, now: Now) -> float | None:
        """
        In how many seconds L{tick} has something to do.
        """
        return self._losses.wake(now)

    # -- what jobs ask for -------------------------------------------------------------------------

    def _remember(self, row: Job, *, put: bool) -> OriginJob:
        job = self.jobs[row.id] = OriginJob(row, put=put)
        self._track(job)
        return job

    def _track(self, job: OriginJob) -> None:
        if job.waits != job.windowed:
            job.windowed = job.waits
            if job.windowed:
                self.window.entered(job.row)
            else:
                self.window.left(job.row)

    def _live(self, job: OriginJob, acts: tuple[Act, ...], told: _Told, out: Out, now: Now) -> None:
        """Carry out what a job's machine has answered."""
        told.job = job.row.id
        for act in acts:
            self._acts[act](job, told, out, now)
        self._track(job)
        if job.state == "over":
            self.jobs.pop(job.row.id, None)

    def _put_forward(self, job: OriginJob, out: Out, now: Now) -> None:
        if job.state == "waiting":
            self._offer(job, _Told(), out, now)

    def _offer(self, job: OriginJob, told: _Told, out: Out, now: Now) -> None:
        if job.crashes >= CRASH_LIMIT:
            told.cause = self._losses.blame(job)
            self._live(job, job.life.condemned(), told, out, now)
        elif self._joined:
            out.late.add("offered", self._make_offer(job))
            self._track(job)

    def _make_offer(self, job: OriginJob) -> Offered:
        self._serial += 1
        job.absent()
        job.offer = (self._identity.incarnation, self._serial)
        fresh = not job.put
        job.put = True
        job.life.offered()
        row = job.row
        return Offered(
            row.id,
            *job.offer,
            row.kind,
            row.payload,
            row.priority,
            row.requires,
            self._losses.number(job),
            fresh,
            job.crashes >= _SUSPECT_AT,
            job.once,
        )

    def _record_loss(self, job: OriginJob, told: _Told, out: Out, now: Now) -> None:
        self._losses.lost(job, told.offer, told.node, told.keeper, told.at, told.cause, out, now)
        if job.offer == told.offer:
            job.started = 0
            job.due = None

    def _bind(self, job: OriginJob, told: _Told, out: Out, _: Now) -> None:
        job.row = job.row._replace(bound=(*told.offer, told.node, told.store))
        out.bound(BoundJob(job.row.id, *told.offer, told.node, told.store))
        self._say("bound", told, out)

    def _unbind(self, job: OriginJob, _: _Told, out: Out, __: Now) -> None:
        job.row = job.row._replace(bound=None)
        out.unbound(job.row.id)

    def _answer(self, word: str) -> Callable[[OriginJob, _Told, Out, Now], None]:
        def act(_: OriginJob, told: _Told, out: Out, __: Now) -> None:
            self._say(word, told, out)

        return act

    def _say(self, word: str, told: _Told, out: Out) -> None:
        if self._joined:
            out.late.add(word, Told(told.job, *told.offer))

    def _wish(self, job: OriginJob, _: _Told, out: Out, __: Now) -> None:
        job.row = job.row._replace(cancelling=True)
        out.cancelling(job.row.id)

    def _ask(self, job: OriginJob, _: _Told, out: Out, __: Now) -> None:
        if self._joined:
            out.late.add("withdrawn", self._question(job))

    def _question(self, job: OriginJob) -> Question:
        if job.row.bound is not None:
            job.asked = job.row.bound[:2]
            return Question(job.row.id, *job.row.bound)
        job.asked = job.offer or _NO_OFFER
        if not job.node:
            # Whatever is held from now on is an older offer than the one that was withdrawn.
            job.offer = None
        return Question(job.row.id, *job.asked)

    def _end(self, job: OriginJob, told: _Told, out: Out, now: Now) -> None:
        self._losses.ended(job, told.outcome, out)
        row = EndedJob(job.row.id, told.outcome, self._losses.number(job))
        out.ended(row)
        out.after(Outcomes(((job.row.id, told.outcome),)))
        del now

    def _end_as(self, status: str) -> Callable[[OriginJob, _Told, Out, Now], None]:
        def act(job: OriginJob, told: _Told, out: Out, now: Now) -> None:
            detail = "" if status == Status.CANCELLED else told.cause
            ended = int(now.wall * 1000)
            node = told.node if status == Status.LOST else ""
            told.outcome = Outcome(status, None, detail, told.at, ended, node)
            row = EndedJob(job.row.id, told.outcome, self._losses.count(job))
            out.ended(row)
            out.after(Outcomes(((job.row.id, told.outcome),)))

        return act


class _Told:
    """The word that made a job act."""

    __slots__ = ("at", "cause", "job", "keeper", "node", "offer", "outcome", "store")

    def __init__(
        self,
        offer: Offer = _NO_OFFER,
        *,
        job: int = 0,
        node: str = "",
        store: str = "",
        keeper: str = "",
        at: int = 0,
        cause: str = "",
        outcome: Outcome = Outcome(Status.LOST),
    ) -> None:
        self.offer = offer
        self.job = job
        self.node = node
        self.store = store
        self.keeper = keeper
        self.at = at
        self.cause = cause
        self.outcome = outcome
