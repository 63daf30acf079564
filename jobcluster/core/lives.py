"""
The unfinished jobs that an origin has in memory, and what is done when their machines ask for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from jobcluster.core.actions import Outcomes
from jobcluster.core.jobs import NO_OFFER, Act, Life, Occasion, OriginJob
from jobcluster.core.losses import CRASH_LIMIT, Losses
from jobcluster.core.out import Out
from jobcluster.core.reads import Reads
from jobcluster.core.records import BoundJob, EndedJob, Identity
from jobcluster.core.values import Job, Now, Offer, Outcome, Status
from jobcluster.core.views import ended_view
from jobcluster.core.window import Window
from jobcluster.core.words import Kept, Offered, Question, Told

__all__ = ["PAYLOAD_SAID", "Lives", "Whereabouts"]

_SUSPECT_AT: Final = 2
"""Crashes after which a job is one of those of which a node is given one at a time (part 3)."""


PAYLOAD_SAID: Final = 64 * 1024
"""Bytes: a longer payload stays at its origin until its executor fetches it (part 3)."""


class Whereabouts(NamedTuple):
    """Where an unfinished job is, as a person wants to know it."""

    state: str
    """C{"waiting"}, C{"running"} or C{"cancelling"}."""
    node: str
    """Who has it; empty if nobody has, as far as is known."""
    attempts: int
    """How often it was started."""
    offer: Offer = NO_OFFER
    """What runs there; L{NO_OFFER} if nothing does, as far as is known."""


class Lives:
    """
    Jobs in memory, each with its machine.
    """

    def __init__(self, identity: Identity, window: Window) -> None:
        """
        No job is in memory.
        """
        self._identity = identity
        self._serial = 0
        self.window = window
        self.losses = Losses()
        self.reads = Reads()
        self.jobs: dict[int, OriginJob] = {}
        """By their ids."""
        self.joined = False
        """Whether there is a balancer to speak to."""
        self.stopping = False
        """Whether this node is about to end, so that its jobs wait for it."""
        self._acts: dict[Act, Callable[[OriginJob, Occasion, Out, Now], None]] = {
            Act.OFFER: self._offer,
            Act.RECORD_LOSS: self.record_loss,
            Act.BIND: self._bind,
            Act.UNBIND: self._unbind,
            Act.KEEP: self._keep,
            Act.CANCEL: self._answer("cancel"),
            Act.DROP: self._answer("drop"),
            Act.WISH: self._wish,
            Act.ASK: self._ask,
            Act.END: self._end,
            Act.END_CANCELLED: self._end_as(Status.CANCELLED),
            Act.END_LOST: self._end_as(Status.LOST),
            Act.END_QUARANTINED: self._end_as(Status.QUARANTINED),
        }

    # -- for the origin ----------------------------------------------------------------------------

    def remember(self, row: Job, *, put: bool) -> OriginJob:
        """
        Take a job into memory.

        @param put: whether any balancer may have heard of it.
        """
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

    def live(
        self, job: OriginJob, acts: tuple[Act, ...], occasion: Occasion, out: Out, now: Now
    ) -> None:
        """
        Carry out what a job's machine has answered.
        """
        occasion.job = job.row.id
        for act in acts:
            self._acts[act](job, occasion, out, now)
        self._track(job)
        if job.state == "over":
            self.jobs.pop(job.row.id, None)
            self.reads.ended(job.row.id)

    def put_forward(self, job: OriginJob, out: Out, now: Now) -> None:
        """
        Offer a job if it waits.
        """
        if job.state == "waiting":
            self._offer(job, Occasion(), out, now)

    def _offer(self, job: OriginJob, occasion: Occasion, out: Out, now: Now) -> None:
        if job.crashes >= CRASH_LIMIT:
            occasion.cause = self.losses.blame(job)
            self.live(job, job.hear(Life.condemned), occasion, out, now)
        elif self.joined and not self.stopping:
            out.late.add("offered", self.make_offer(job))
            self._track(job)

    def whereabouts(self, id_: int) -> Whereabouts | None:
        """
        Where an unfinished job is that is in memory.
        """
        job = self.jobs.get(id_)
        if job is None:
            return None
        number = self.losses.number(job)
        state = "running" if job.started else "waiting"
        if job.cancelling:
            state = "cancelling"
        if job.started and job.offer is not None:
            return Whereabouts(state, job.node, number, job.offer)
        return Whereabouts(state, job.node, number - 1)

    def run_here(self, id_: int, offer: Offer) -> Whereabouts | None:
        """
        The same of a job of which this node itself holds an offer, whether a balancer knows it or
        not.
        """
        found = self.whereabouts(id_)
        if found is None or self.losses.is_lost(self.jobs[id_], offer):
            return found
        number = self.losses.number(self.jobs[id_], offer)
        return Whereabouts(found.state, self._identity.name, number, offer)

    def make_offer(self, job: OriginJob) -> Offered:
        """
        Stamp a new offer of a job that waits.
        """
        self._serial += 1
        job.absent()
        job.offer = (self._identity.incarnation, self._serial)
        fresh = not job.put
        job.put = True
        job.hear(Life.offered)
        row = job.row
        size = len(row.payload)
        is_long = size > PAYLOAD_SAID
        return Offered(
            row.id,
            *job.offer,
            row.kind,
            b"" if is_long else row.payload,
            row.priority,
            row.requires,
            self.losses.number(job),
            fresh,
            job.crashes >= _SUSPECT_AT,
            job.once,
            size if is_long else 0,
        )

    def record_loss(self, job: OriginJob, occasion: Occasion, out: Out, now: Now) -> None:
        """
        Write down that an attempt was lost.
        """
        self.losses.lost(job, occasion, out, now)
        if job.offer == occasion.offer:
            job.started = 0
            job.due = None

    def _bind(self, job: OriginJob, occasion: Occasion, out: Out, _: Now) -> None:
        job.row = job.row._replace(bound=(*occasion.offer, occasion.node, occasion.memory))
        out.bound(BoundJob(job.row.id, *occasion.offer, occasion.node, occasion.memory))
        self.say("bound", occasion, out)

    def _unbind(self, job: OriginJob, _: Occasion, out: Out, __: Now) -> None:
        job.row = job.row._replace(bound=None)
        out.unbound(job.row.id)

    def _keep(self, job: OriginJob, occasion: Occasion, out: Out, __: Now) -> None:
        if self.joined:
            out.late.add("keep", Kept(job.row.id, *occasion.offer, occasion.instead))

    def _answer(self, word: str) -> Callable[[OriginJob, Occasion, Out, Now], None]:
        def act(_: OriginJob, occasion: Occasion, out: Out, __: Now) -> None:
            self.say(word, occasion, out)

        return act

    def say(self, word: str, occasion: Occasion, out: Out) -> None:
        """
        Tell the balancer C{cancel}, C{drop}, C{acknowledge} or C{bound} of an offer.
        """
        if self.joined:
            out.late.add(word, Told(occasion.job, *occasion.offer))

    def _wish(self, job: OriginJob, _: Occasion, out: Out, __: Now) -> None:
        job.row = job.row._replace(cancelling=True)
        out.cancelling(job.row.id)

    def _ask(self, job: OriginJob, _: Occasion, out: Out, __: Now) -> None:
        if self.joined:
            out.late.add("withdrawn", self.question(job))

    def question(self, job: OriginJob) -> Question:
        """
        What to ask of a job that must not be placed but may be held.
        """
        if job.row.bound is not None:
            job.asked = job.row.bound[:2]
            return Question(job.row.id, *job.row.bound)
        job.asked = job.offer or NO_OFFER
        if not job.node:
            # Whatever is held from now on is an older offer than the one that was withdrawn.
            job.offer = None
        return Question(job.row.id, *job.asked)

    def _end(self, job: OriginJob, occasion: Occasion, out: Out, now: Now) -> None:
        self.losses.ended(job, occasion.outcome, out)
        self._over(job, occasion.outcome, self.losses.number(job), out)
        del now

    def _end_as(self, status: str) -> Callable[[OriginJob, Occasion, Out, Now], None]:
        def act(job: OriginJob, occasion: Occasion, out: Out, now: Now) -> None:
            detail = "" if status == Status.CANCELLED else occasion.cause
            ended = int(now.wall * 1000)
            node = occasion.node if status == Status.LOST else ""
            occasion.outcome = Outcome(status, None, detail, occasion.at, ended, node)
            self._over(job, occasion.outcome, self.losses.count(job), out)

        return act

    @staticmethod
    def _over(job: OriginJob, outcome: Outcome, attempts: int, out: Out) -> None:
        out.ended(EndedJob(job.row.id, outcome, attempts))
        out.after(Outcomes((ended_view(job.row, outcome, attempts),)))
