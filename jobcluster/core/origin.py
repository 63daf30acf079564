"""
The jobs that this node took: what it says to the balancer about them, and what it writes down.

It decides when a job is offered, whose run of it counts, and how it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from jobcluster.core.actions import Answer
from jobcluster.core.description import join_tags
from jobcluster.core.endings import Endings
from jobcluster.core.jobs import NO_OFFER, Life, Occasion, OriginJob
from jobcluster.core.lives import Lives
from jobcluster.core.out import Out
from jobcluster.core.records import Identity, Recovered
from jobcluster.core.submissions import Submissions
from jobcluster.core.turns import Turns
from jobcluster.core.values import Cause, Job, Now, Offer, RunState, Spec, mint_job_id
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
)

__all__ = ["Origin"]


class Origin:
    """
    A node as the owner of jobs.
    """

    def __init__(self, identity: Identity, recovered: Recovered, limit: int) -> None:
        """
        Take up what the store knows, with windows of so many jobs.
        """
        self._identity = identity
        self._last_job = recovered.last_job
        self._old_jobs = recovered.last_job
        """Jobs up to here are of earlier incarnations: a balancer may have heard of them."""
        self.window = Window({lane.requires: lane.waiting for lane in recovered.lanes}, limit)
        self.lives = Lives(identity, self.window)
        self.jobs = self.lives.jobs
        """The unfinished jobs in memory, by their ids."""
        self._turns = Turns(self.jobs, self.lives.reads)
        self.endings = Endings(identity.name, self.lives, self._turns, self._held)
        self.submissions = Submissions(identity.name, self._take)
        self.old_news = 0
        """Words about offers that are no longer the present ones, counted."""
        for row in recovered.questions:
            self.lives.remember(row, put=True)

    # -- from clients ------------------------------------------------------------------------------

    def _take(self, spec: Spec, out: Out, now: Now) -> int:
        """Take a new job; returns its id."""
        self._last_job = mint_job_id(self._last_job, now.wall)
        row = Job(
            self._last_job,
            spec.kind,
            spec.payload,
            spec.priority,
            spec.requires,
            spec.on_node_loss,
            int(now.wall * 1000),
            spec.name,
            join_tags(spec.tags) if spec.tags else "",
        )
        out.submitted(row)
        if self.window.admits(row):
            self.lives.put_forward(self.lives.remember(row, put=False), out, now)
        return row.id

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

            self._turns.when_in_memory(id_, found, out, now, lasting=True)

    def _cancel(self, id_: int, out: Out, now: Now) -> str:
        job = self.jobs.get(id_)
        if job is None:
            return "ended"
        if job.state == "waiting" and not job.put:
            self.lives.live(job, job.hear(Life.cancelled_free), Occasion(), out, now)
            return "cancelled"
        told = Occasion(job.offer or NO_OFFER)
        self.lives.live(job, job.hear(Life.cancelled), told, out, now)
        return "cancelling"

    # -- from the store ----------------------------------------------------------------------------

    def loaded(self, wanted: Iterable[int], found: Iterable[Job], out: Out, now: Now) -> None:
        """
        Jobs that somebody spoke of are in memory, or have ended.
        """
        fresh = self._take_up(found)
        for id_ in wanted:
            self._turns.loaded(id_, out, now)
        for job in fresh:
            self.lives.put_forward(job, out, now)

    def page_loaded(self, requires: str, jobs: tuple[Job, ...], out: Out, now: Now) -> None:
        """
        More of the jobs that wait in the store.
        """
        self.window.loaded(requires, jobs)
        fresh = self._take_up(jobs)
        self.lives.reads.done("page", requires)
        for job in fresh:
            self.lives.put_forward(job, out, now)

    def _take_up(self, rows: Iterable[Job]) -> list[OriginJob]:
        """Take jobs into memory that are not there, nor have ended since the store was asked."""
        fresh = []
        for row in rows:
            if row.id not in self.jobs and not self.lives.reads.is_stale(row.id):
                self.window.found(row)
                fresh.append(self.lives.remember(row, put=row.id <= self._old_jobs))
        return fresh

    def fill(self, out: Out) -> None:
        """
        Read on where a window has room.
        """
        for page in self.window.loads():
            self.lives.reads.asked("page", page.requires)
            out.after(page)

    # -- from the balancer -------------------------------------------------------------------------

    def joining(self) -> tuple[list[Offered], list[Question]]:
        """
        What to put into a join: the window, and the questions (rule 1).
        """
        offers, questions = [], []
        for job in self.jobs.values():
            state = job.state
            if state == "waiting" and not self.lives.stopping:
                offers.append(self.lives.make_offer(job))
            elif job.cancelling or state == "bound":
                questions.append(self.lives.question(job))
        self.lives.joined = True
        return offers, questions

    def parted(self, out: Out, now: Now) -> None:
        """
        The connection ended: who holds what is known no longer.
        """
        self.lives.joined = False
        self._turns.parted()
        for job in list(self.jobs.values()):
            job.asked = None
            if job.row.bound is None:
                self.lives.losses.leave_open(job)
                job.absent()
            self.lives.live(job, job.hear(Life.parted), Occasion(), out, now)

    def placed(self, rows: Iterable[Placed], out: Out, now: Now) -> None:
        """
        Offers were given to nodes; so nobody holds any older one.
        """
        for row in rows:

            def heard(out: Out, now: Now, row: Placed = row) -> None:
                self._placed(row, out, now)

            self._turns.in_turn(row.job, heard, out, now)

    def _placed(self, row: Placed, out: Out, now: Now) -> None:
        job = self.jobs.get(row.job)
        offer = (row.incarnation, row.serial)
        if job is None or job.offer != offer or job.state != "offered":
            # It has another offer by now, or none: but this one is held all the same.
            self.old_news += 1
            held = HeldBy(row.job, *offer, row.node, row.keeper, RunState.WAITING, 0)
            self.held((held,), out, now)
            return
        self.lives.losses.record_open(job, out, now)
        job.present(offer, row.node, row.keeper, 0)
        acts = job.hear(Life.reserved) if job.once else job.hear(Life.placed)
        self.lives.live(job, acts, Occasion(offer, node=row.node, memory=row.memory), out, now)

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
        self.lives.losses.started(job, now)
        self.lives.live(job, job.hear(Life.started), Occasion(), out, now)

    def held(self, rows: Iterable[HeldBy], out: Out, now: Now) -> None:
        """
        Joined nodes hold offers: keep, cancel or drop (rule 2).
        """
        for row in rows:

            def found(out: Out, now: Now, row: HeldBy = row) -> None:
                self._held(row, out, now)

            self._turns.when_in_memory(row.job, found, out, now)

    def _held(self, row: HeldBy, out: Out, now: Now) -> None:
        offer = (row.incarnation, row.serial)
        told = Occasion(offer, job=row.job, node=row.node)
        job = self.jobs.get(row.job)
        if job is None or not self._may_hold(job, row, out):
            self.lives.say("drop", told, out)
            return
        if job.offer is not None and job.node and job.offer < offer and job.row.bound is None:
            # All but the highest held offer are dropped.
            self.lives.say("drop", Occasion(job.offer, job=job.row.id), out)
            self.lives.losses.leave_open(job)
        bound = job.row.bound is not None
        if job.state == "offered" and job.offer is not None:
            told.instead = job.offer[1]
        if not bound:
            self._present(job, offer, row.node, row.keeper, row.started)
        acts = job.hear(Life.held_bound) if bound else job.hear(Life.held)
        self.lives.live(job, acts, told, out, now)
        if row.state == "running":
            self._started(job, row.started, out, now)

    def _may_hold(self, job: OriginJob, row: HeldBy, out: Out) -> bool:
        """Whether the run of an offer is wanted."""
        offer = (row.incarnation, row.serial)
        if self.lives.losses.is_lost(job, offer):
            self.lives.losses.returned(job, offer, row.keeper, out)
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

            def heard(out: Out, now: Now, row: Nobody = row) -> None:
                self._nobody(row, out, now)

            self._turns.in_turn(row.job, heard, out, now)

    def _nobody(self, row: Nobody, out: Out, now: Now) -> None:
        job = self.jobs.get(row.job)
        offer = (row.incarnation, row.serial)
        if job is None or not self._is_answer(job, offer):
            self.old_news += 1
            return
        told = Occasion(offer, node=job.node, cause=Cause.NOT_HELD, at=job.started)
        acts = job.hear(Life.denied) if job.deniable and not row.gone else job.hear(Life.lost)
        self.lives.live(job, acts, told, out, now)

    def lost(self, rows: Iterable[LostBy], out: Out, now: Now) -> None:
        """
        Whoever held these is lost (rule 4).
        """
        for row in rows:

            def found(out: Out, now: Now, row: LostBy = row) -> None:
                self._lost(row, out, now)

            self._turns.when_in_memory(row.job, found, out, now)

    def _lost(self, row: LostBy, out: Out, now: Now) -> None:
        job = self.jobs.get(row.job)
        offer = (row.incarnation, row.serial)
        told = Occasion(offer, node=row.node, cause=row.cause, at=row.started, keeper=row.keeper)
        if job is None:
            self.old_news += 1
        elif self._is_answer(job, offer):
            told.at = row.started or job.started
            self.lives.live(job, job.hear(Life.lost), told, out, now)
        else:
            self.old_news += 1
            self.lives.record_loss(job, told, out, now)

    @staticmethod
    def _is_answer(job: OriginJob, offer: Offer) -> bool:
        """Whether this word about an offer decides what becomes of the job."""
        if job.offer is None:
            return job.cancelling
        return offer in (job.offer, job.asked)

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
        self.endings.own_ended(row, done, out, now)

    def payload_of(self, id_: int, offer: Offer) -> bytes | None:
        """
        What this node was given of its own, or C{None} if it is not to be run any more.
        """
        job = self.jobs.get(id_)
        return None if job is None or job.offer != offer else job.row.payload

    def stop(self) -> None:
        """
        Offer nothing any more: the jobs wait for this node.
        """
        self.lives.stopping = True

    # -- time --------------------------------------------------------------------------------------

    def tick(self, out: Out, now: Now) -> None:
        """
        Write down which attempts run for a while already.
        """
        self.lives.losses.record_starts(self.jobs, out, now)

    def wake(self, now: Now) -> float | None:
        """
        In how many seconds L{tick} has something to do.
        """
        return self.lives.losses.wake(now)
