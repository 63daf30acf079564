"""
Faults at the very moment at which they hurt most; chance alone meets these once in thousands.

Each sets a trap for something that is to come to pass, and does its harm then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from jobcluster.core.actions import StartRuns
from jobcluster.core.records import (
    AttemptsRecorded,
    Bound,
    Cancelling,
    Change,
    DeadlinesSet,
    JobsEnded,
    JobsSubmitted,
    Unbound,
)
from jobcluster.core.words import Dispatch, JoinPart, Report
from tests.core.rig.chaos import Chaos, Fault
from tests.core.rig.disks import Disk
from tests.core.rig.links import Box, Dispatches, End, Joined, Reports
from tests.core.rig.machines import Process
from tests.core.rig.node import NodeProcess
from tests.core.rig.shapes import Site

__all__ = ["DIRECTED"]

_CHANGES = (
    AttemptsRecorded,
    Bound,
    Cancelling,
    DeadlinesSet,
    JobsEnded,
    JobsSubmitted,
    Unbound,
)


def _site_of(chaos: Chaos, end: End) -> Site | None:
    return next((site for site in chaos.world.sites if site.process is end.owner), None)


def _on_arrival(
    chaos: Chaos, wanted: Callable[[Box], object], harm: Callable[[Site, End], None]
) -> bool:
    """
    Do harm when such a word arrives at a node, before it is read.
    """

    def trap(end: End, box: Box) -> bool:
        site = _site_of(chaos, end)
        if site is None or not wanted(box):
            return False
        harm(site, end)
        return True

    chaos.world.ground.set_trap("arriving", trap)
    return True


def _says_start(box: Box) -> bool:
    return isinstance(box, Dispatches) and any(word.start for word in box.words)


def _unread_start(chaos: Chaos) -> bool:
    """Stop the reader of a start; then cut its connection, or restart balancer or origin."""

    def harm(site: Site, end: End) -> None:
        rng = chaos.rng
        chaos.freeze(site, rng.uniform(0.5, 9.0))
        soon = rng.random() * 2.0
        kind = rng.randrange(3)
        if kind == 0:
            chaos.later(soon, end.link.sever, None, 0.0)
        elif kind == 1:
            chaos.later(soon, chaos.kill_balancer)
        else:
            chaos.later(soon, chaos.kill_balancer)
            others = [other for other in chaos.world.sites if other is not site]
            chaos.later(soon, chaos.kill, rng.choice(others))

    return _on_arrival(chaos, _says_start, harm)


def _late_join(chaos: Chaos) -> bool:
    """Deliver an old join after a newer one."""

    def trap(end: End, box: Box) -> bool:
        if not isinstance(box, JoinPart) or not box.last:
            return False
        link, rng = end.link, chaos.rng
        link.balancer.stall()
        chaos.later(rng.random(), link.node.give_up)
        chaos.later(rng.random() * 8, link.balancer.release)
        return True

    chaos.world.ground.set_trap("said", trap)
    return True


def _answer_lost(chaos: Chaos) -> bool:
    """Cut the connection, or kill the node, when the answer to its join arrives."""

    def harm(site: Site, end: End) -> None:
        if chaos.rng.random() < 0.5:
            end.link.sever(0.0, chaos.sees())
        else:
            chaos.kill(site)

    return _on_arrival(chaos, lambda box: isinstance(box, Joined), harm)


def _kill_at_word(chaos: Chaos) -> bool:
    """Kill a node, or cut its connection, when some word arrives that matters."""
    word = chaos.rng.choice(
        ("start", "cancel", "drop", "acknowledge", "nobody", "lost", "placed", "held", "outcome")
    )

    def wanted(box: Box) -> object:
        return isinstance(box, Dispatches) and any(getattr(said, word) for said in box.words)

    def harm(site: Site, end: End) -> None:
        if chaos.rng.random() < 0.6:
            chaos.kill(site)
        else:
            end.link.sever(0.0, chaos.sees())

    return _on_arrival(chaos, wanted, harm)


def _kill_after_word(chaos: Chaos) -> bool:
    """Kill a node between the arrival of some word and the commit that follows it."""
    word = chaos.rng.choice(("lost", "placed", "held", "outcome", "outcome", "nobody", "start"))

    def trap(process: NodeProcess, box: Dispatch) -> bool:
        if not getattr(box, word):
            return False
        site = chaos.world.site_of(process)
        chaos.later(chaos.rng.choice((0.0, chaos.rng.random() * 0.02)), chaos.kill, site)
        return True

    chaos.world.ground.set_trap("taken", trap)
    return True


def _at_commit(chaos: Chaos, harm: Callable[[Disk, Site], None]) -> bool:
    """
    Do harm when some change begins to be committed.
    """
    kind = chaos.rng.choice(_CHANGES)

    def trap(disk: Disk, process: Process, changes: Sequence[Change]) -> bool:
        if not any(isinstance(change, kind) for change in changes):
            return False
        for site in chaos.world.sites:
            if site.process is process:
                harm(disk, site)
        return True

    chaos.world.ground.set_trap("committing", trap)
    return True


def _kill_in_commit(chaos: Chaos) -> bool:
    def harm(_: Disk, site: Site) -> None:
        pace = chaos.world.ground.pace
        chaos.later(chaos.rng.random() * pace.commit, chaos.kill, site)

    return _at_commit(chaos, harm)


def _fail_commit(chaos: Chaos) -> bool:
    def harm(disk: Disk, site: Site) -> None:
        disk.failing = True
        chaos.later(chaos.rng.random() * 2, setattr, disk, "failing", False)

    return _at_commit(chaos, harm)


def _slow_change(chaos: Chaos) -> bool:
    def harm(disk: Disk, site: Site) -> None:
        disk.slow = chaos.rng.uniform(0.5, 7.0)

    return _at_commit(chaos, harm)


def _freeze_in_commit(chaos: Chaos) -> bool:
    """Stop a node that is about to start something; the start follows the commit."""

    def harm(_: Disk, site: Site) -> None:
        chaos.later(0, chaos.freeze, site, chaos.rng.random() * 9)

    return _at_commit(chaos, harm)


def _kill_at_start(chaos: Chaos) -> bool:
    """Kill a node when it has just started something."""

    def trap(process: NodeProcess, action: StartRuns) -> bool:
        if all(run.adopted for run in action.runs):
            return False
        site = chaos.world.site_of(process)
        chaos.later(chaos.rng.choice((0.0, chaos.rng.random() * 0.05)), chaos.kill, site)
        return True

    chaos.world.ground.set_trap("starting", trap)
    return True


def _at_report(
    chaos: Chaos, wanted: Callable[[Report], object], harm: Callable[[End], None]
) -> bool:
    """
    Do harm when a node says such a thing, before it has left.
    """

    def trap(end: End, box: Box) -> bool:
        if not isinstance(box, Reports) or not any(map(wanted, box.words)):
            return False
        harm(end)
        return True

    chaos.world.ground.set_trap("said", trap)
    return True


def _bind_race(chaos: Chaos) -> bool:
    """While *bound* is on its way, the connection of the node that it is bound to blips."""

    def harm(end: End) -> None:
        end.peer.stall()
        chaos.later(0.05 + chaos.rng.random(), end.peer.release)
        for site in chaos.world.sites:
            if site.process is not end.owner:
                for link in chaos.world.links_of(site):
                    link.sever(0.0, 0.0)

    return _at_report(chaos, lambda report: report.bound, harm)


def _word_delayed(chaos: Chaos) -> bool:
    """Hold some word of a node up, and blip or kill somebody meanwhile."""
    word = chaos.rng.choice(
        (
            "started",
            "refused",
            "finished",
            "gone",
            "keep",
            "cancel",
            "drop",
            "acknowledge",
            "withdrawn",
        )
    )

    def harm(end: End) -> None:
        end.peer.stall()
        chaos.later(chaos.rng.random() * 3, end.peer.release)
        site = chaos.some_site()
        if site is not None and chaos.rng.random() < 0.5:
            chaos.kill(site)
        elif chaos.rng.random() < 0.5:
            end.link.sever(chaos.sees(), chaos.sees())

    return _at_report(chaos, lambda report: getattr(report, word), harm)


def _deaf_balancer(chaos: Chaos) -> bool:
    """A node is given something to start, and its own words do not arrive any more."""

    def harm(_: Site, end: End) -> None:
        end.peer.stall()
        chaos.later(chaos.rng.uniform(5, 20), end.peer.release)

    return _on_arrival(chaos, _says_start, harm)


def _cancel_and_kill(chaos: Chaos) -> bool:
    """Cancel a job, and kill its origin, its executor or the balancer at once."""
    world = chaos.world
    tickets = [
        (site, job)
        for site, job, _ in world.tickets[-10:]
        if site.process is not None
        and site.process.ready
        and job in world.truth.ledger(site.disk).open_jobs
    ]
    if not tickets:
        return False
    site, job = chaos.rng.choice(tickets)
    world.cancel(site, job)
    delay = chaos.rng.choice((0.0, chaos.rng.random() * 0.05))
    kind = chaos.rng.randrange(3)
    if kind == 0:
        chaos.later(delay, chaos.kill, site)
    elif kind == 1:
        chaos.later(delay, chaos.kill_balancer)
    else:
        chaos.later(delay, chaos.kill, chaos.rng.choice(world.sites))
    return True


DIRECTED: Final[dict[str, Fault]] = {
    "unread-start": _unread_start,
    "late-join": _late_join,
    "answer-lost": _answer_lost,
    "kill-at-word": _kill_at_word,
    "kill-after-word": _kill_after_word,
    "kill-in-commit": _kill_in_commit,
    "fail-commit": _fail_commit,
    "slow-change": _slow_change,
    "freeze-in-commit": _freeze_in_commit,
    "kill-at-start": _kill_at_start,
    "bind-race": _bind_race,
    "word-delayed": _word_delayed,
    "deaf-balancer": _deaf_balancer,
    "cancel-and-kill": _cancel_and_kill,
}
"""By their names."""
