"""
What is really so, whatever the cores believe; and the promises that can be held against it.

C5 (safety), C6, C7 and what C2 says of starts are decided here, with each start; C1 and the rest of
C2 are in L{tests.core.rig.ledgers}.
"""

from __future__ import annotations

from typing import Final

from jobcluster.core.actions import Run
from jobcluster.core.values import Offer, Owner, Ref
from tests.core.rig.disks import Disk
from tests.core.rig.ground import BrokenPromiseError, Ground
from tests.core.rig.ledgers import Key, Ledger, Ledgers

__all__ = ["RunFact", "Seat", "Truth"]

_SHORT: Final = 1.0
"""Seconds that a sleep must have to go to outlive its process (C6)."""

_ROUNDING: Final = 1e-6

_LATE: Final = 1.5
"""Seconds by which a balancer's look at the clock may be late and still count in full."""


class Seat:
    """
    A node (a name with a store): when it was unjoined while there was a balancer.
    """

    __slots__ = ("accepted_at", "gap_since", "gaps", "joined", "owner", "runs")

    def __init__(self, owner: Owner) -> None:
        """
        A node that has not joined.
        """
        self.owner = owner
        self.joined = 0
        """How many connections both ends of which take it for joined."""
        self.gap_since: float | None = None
        self.gaps: list[tuple[float, float]] = []
        self.accepted_at = float("-inf")
        """When a balancer last accepted a join of it."""
        self.runs: dict[Ref, RunFact] = {}
        """What it has started and may still hold."""

    def longest_gap(self, since: float, now: float) -> float:
        """
        The longest time unjoined, of those that reach beyond C{since}.
        """
        longest = 0.0 if self.gap_since is None else now - self.gap_since
        for begin, end in self.gaps:
            if end >= since:
                longest = max(longest, end - begin)
        return longest


class RunFact:
    """
    One start of a job.
    """

    __slots__ = (
        "denied",
        "died_at",
        "keeper",
        "key",
        "offer",
        "once",
        "over_at",
        "seat",
        "started",
        "where",
    )

    def __init__(self, key: Key, run: Run, seat: Seat, where: str, started: float) -> None:
        """
        It has just been started.
        """
        self.key = key
        self.offer: Offer = (run.incarnation, run.serial)
        self.once = run.once
        self.seat = seat
        self.where = where
        self.keeper = ""
        self.started = started
        self.over_at: float | None = None
        """When nothing of it was running any more."""
        self.died_at: float | None = None
        """When its executor was no longer bound to know of it."""
        self.denied = False
        """Whether its executor has said that nothing runs there any more."""

    def __repr__(self) -> str:
        return (
            f"<run {self.key} {self.offer} at {self.where} from {self.started:.6f}"
            f" over {self.over_at} died {self.died_at}>"
        )


class Truth(Ledgers):
    """
    The facts, and the promises.
    """

    def __init__(self, ground: Ground, grace: float) -> None:
        """
        Nothing has happened.

        @param grace: the balancer's.
        """
        super().__init__()
        self._ground = ground
        self._grace = grace
        self._balancer_up = False
        self._restored_at: dict[Owner, float] = {}
        """When origins were restored from a backup."""
        self.seats: dict[Owner, Seat] = {}
        self.runs: dict[Key, list[RunFact]] = {}

    # -- who is joined -----------------------------------------------------------------------------

    def seat(self, owner: Owner) -> Seat:
        """
        The seat of a node.
        """
        seat = self.seats.get(owner)
        if seat is None:
            seat = self.seats[owner] = Seat(owner)
            if self._balancer_up:
                seat.gap_since = self._ground.clock.seconds()
        return seat

    def joined(self, owner: Owner, change: int) -> None:
        """
        One more or one less connection joins this node to the balancer.
        """
        seat = self.seat(owner)
        seat.joined += change
        now = self._ground.clock.seconds()
        if seat.joined and seat.gap_since is not None:
            self._close_gap(seat, now)
        elif not seat.joined and seat.gap_since is None and self._balancer_up:
            seat.gap_since = now

    def balancer_started(self) -> None:
        """
        A balancer listens.
        """
        self._balancer_up = True
        now = self._ground.clock.seconds()
        for seat in self.seats.values():
            seat.gap_since = now

    def balancer_died(self) -> None:
        """
        Nobody listens.
        """
        self._balancer_up = False
        now = self._ground.clock.seconds()
        for seat in self.seats.values():
            self._close_gap(seat, now)

    def balancer_thawed(self, frozen_at: float) -> None:
        """
        The balancer was stopped since then: that time says nothing about the nodes.
        """
        now = self._ground.clock.seconds()
        for seat in self.seats.values():
            if seat.gap_since is not None:
                unseen = now - max(seat.gap_since, frozen_at)
                if unseen > _LATE:
                    seat.gap_since += unseen - _LATE

    def _close_gap(self, seat: Seat, now: float) -> None:
        if seat.gap_since is not None:
            if now - seat.gap_since >= self._grace - _ROUNDING:
                seat.gaps.append((seat.gap_since, now))
            seat.gap_since = None

    # -- what runs: C2, C5, C6, C7 -----------------------------------------------------------------

    def run_started(self, disk: Disk, where: str, keeper: str, run: Run) -> None:
        """
        A job was started, for real.
        """
        key = (run.origin, run.store, run.job)
        seat = self.seat((disk.name, disk.store))
        now = self._ground.clock.seconds()
        fact = RunFact(key, run, seat, where, now)
        fact.keeper = keeper
        earlier = self.runs.setdefault(key, [])
        self._ground.counts["runs started"] += 1
        if (run.origin, run.store) not in self.copies and seat.owner not in self.copies:
            for other in earlier:
                self._check_again(fact, other, now)
            if key in self.settled:
                # Allowed, but a waste: an offer was on its way when the outcome came.
                self._ground.counts["runs in vain"] += 1
            if key in self.never:
                raise BrokenPromiseError("C2", f"told cancelled, and yet started: {fact}")
        earlier.append(fact)
        seat.runs[run.ref] = fact

    def was_started(self, key: Key, offer: Offer) -> bool:
        """
        See L{Ledgers.was_started}.
        """
        return any(fact.offer == offer for fact in self.runs.get(key, ()))

    def _check_again(self, fact: RunFact, other: RunFact, now: float) -> None:
        if other.seat.owner in self.copies:
            return
        if other.offer == fact.offer:
            raise BrokenPromiseError("C5", f"an offer started twice: {fact} after {other}")
        if fact.once:
            raise BrokenPromiseError(
                "C2", f"an at-most-once job started twice: {fact} after {other}"
            )
        if self._justified(other, now):
            lives = other.over_at is None and other.died_at is None and not other.denied
            if lives and other.seat.longest_gap(other.started, now) < self._grace - _ROUNDING:
                raise BrokenPromiseError("C6", f"started again while it runs: {fact} after {other}")
            return
        raise BrokenPromiseError("C5", f"started again without a reason: {fact} after {other}")

    def _justified(self, run: RunFact, now: float) -> bool:
        """
        Whether its job may be started again: its end is committed; or its origin was restored from
        a backup, and has forgotten that; or its executor was unjoined for the grace time; or its
        executor lost it, and has joined again without it.
        """
        if run.denied or self.is_over(run.key, run.offer):
            return True
        if run.started <= self._restored_at.get(run.key[:2], -1.0):
            return True
        if run.seat.longest_gap(run.started, now) >= self._grace - _ROUNDING:
            return True
        return run.died_at is not None and run.seat.accepted_at >= run.died_at

    def restored(self, disk: Disk, backup: Ledger) -> None:
        """
        See L{Ledgers.restored}.
        """
        super().restored(disk, backup)
        self._restored_at[disk.name, disk.store] = self._ground.clock.seconds()

    def run_over(self, ref: Ref, owner: Owner) -> None:
        """
        Nothing of this is running at that node any more.
        """
        fact = self.seat(owner).runs.get(ref)
        if fact is not None and fact.over_at is None:
            fact.over_at = self._ground.clock.seconds()

    def process_ended(self, disk: Disk) -> None:
        """
        A node's process has ended in order, and with it what it ran: that is a denial.
        """
        for fact in self.seat((disk.name, disk.store)).runs.values():
            fact.denied = True

    def process_lost(self, disk: Disk, boot_time: float, *, keeps: bool) -> None:
        """
        A node's process, or its core, is gone.

        @param boot_time: its machine's clock.
        @param keeps: whether it was killed alone, so that what it promised to keep it must keep.
        """
        now = self._ground.clock.seconds()
        seat = self.seat((disk.name, disk.store))
        deadlines = self.ledger(disk).deadlines
        for ref, fact in list(seat.runs.items()):
            row = deadlines.get(ref)
            stays = row is not None and row.deadline - boot_time > _SHORT
            if keeps and (stays or fact.keeper):
                continue
            fact.died_at = now
            if not fact.keeper:
                fact.over_at = fact.over_at or now
            del seat.runs[ref]

    def keeper_lost(self, disk: Disk) -> None:
        """
        The keeper of a node died.
        """
        now = self._ground.clock.seconds()
        seat = self.seat((disk.name, disk.store))
        for ref, fact in list(seat.runs.items()):
            if fact.keeper:
                fact.died_at = now
                del seat.runs[ref]
