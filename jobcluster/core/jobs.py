"""
A job's life at its origin, as long as it has no outcome.

The machine says what is to be done in each state; what it cannot know (whether an offer is the
present one, whether this node is joined) its caller looks at first, see
L{jobcluster.core.origin.Origin}.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final, Protocol

import attrs
from automat import TypeMachineBuilder

from jobcluster.core.values import Attempt, Job, Offer, OnNodeLoss, Outcome, Status

__all__ = ["NO_OFFER", "Act", "Life", "Occasion", "OriginJob", "life"]


_WAITS: Final = frozenset({"waiting", "offered"})
_CANCELLING: Final = frozenset({"cancelling", "revoking"})


class Act(enum.Enum):
    """What a job asks its origin to do."""

    OFFER = "offer"
    """Put it before the balancer (again), if this node is joined."""
    RECORD_LOSS = "record-loss"
    """Commit that the attempt was lost."""
    BIND = "bind"
    """Commit that only this offer may run, then say so."""
    UNBIND = "unbind"
    """Commit that another offer may run."""
    KEEP = "keep"
    CANCEL = "cancel"
    DROP = "drop"
    """Answer who holds an offer (rule 2)."""
    WISH = "wish"
    """Commit the wish to cancel."""
    ASK = "ask"
    """Withdraw it; the balancer says who holds it, or that nobody does (rule 7)."""
    END = "end"
    """Commit the outcome that was told."""
    END_CANCELLED = "end-cancelled"
    """Commit that it was cancelled."""
    END_LOST = "end-lost"
    """Commit that it is lost."""
    END_QUARANTINED = "end-quarantined"
    """Commit that it has crashed too often."""


NO_OFFER: Final[Offer] = (0, 0)
"""What a question names where no offer is known."""


_NO_OUTCOME: Final = Outcome(Status.LOST)


@attrs.define
class Occasion:
    """What made a job act: the word that was heard, as far as it matters."""

    offer: Offer = NO_OFFER
    job: int = 0
    node: str = ""
    memory: str = ""
    keeper: str = ""
    at: int = 0
    """When the attempt was started, in milliseconds since the epoch."""
    cause: str = ""
    """Why it was lost."""
    outcome: Outcome = _NO_OUTCOME
    instead: int = 0
    """Serial of the waiting offer that is void now, 0 if there is none."""


Word = Callable[["Life"], tuple[Act, ...]]
"""Something that happens to a job: a method of L{Life}."""


def _state_of(row: Job) -> str:
    """The state in which a job is taken up again."""
    if row.cancelling:
        return "cancelling" if row.bound is None else "revoking"
    return "waiting" if row.bound is None else "bound"


class OriginJob:
    """
    An unfinished job that its origin has in memory; what outlives a state of it is here.
    """

    __slots__ = (
        "_life",
        "asked",
        "attempts",
        "due",
        "keeper",
        "node",
        "offer",
        "put",
        "row",
        "started",
        "state",
        "windowed",
    )

    def __init__(self, row: Job, *, put: bool) -> None:
        """
        A job that waits, is cancelling or bound, as its row says.
        """
        self.row = row
        self.put = put
        """Whether any balancer may ever have heard of it (rule 3)."""
        self.offer: Offer | None = None
        """The present one: offered, placed, running or bound."""
        self.node = ""
        self.keeper = ""
        """Where the present offer is, once it is placed."""
        self.started = 0
        """When the present offer was started, in milliseconds since the epoch; 0 if it was not."""
        self.attempts: dict[Offer, Attempt] = {attempt.offer: attempt for attempt in row.attempts}
        """Those that are recorded; one that is not lost is open."""
        self.due: float | None = None
        """When the start of the present attempt is to be recorded."""
        self.asked: Offer | None = None
        """The offer that an open question names."""
        self.windowed = False
        """Whether it takes room in its origin's window."""
        if row.bound is not None:
            incarnation, serial, self.node, _ = row.bound
            self.offer = (incarnation, serial)
        self.state = _state_of(row)
        """The state's name."""
        self._life = life(self, _states[self.state])

    @property
    def once(self) -> bool:
        """Whether it may be started at most once."""
        return self.row.on_node_loss == OnNodeLoss.FAIL

    @property
    def deniable(self) -> bool:
        """
        Whether it is enough that nobody holds it: not where this node was restored from a backup,
        for then it may be this node itself that had it dropped, and has forgotten that.
        """
        return self.row.bound is None or bool(self.row.bound[3])

    @property
    def crashes(self) -> int:
        """How many attempts count as crashes against it."""
        return sum(attempt.counted for attempt in self.attempts.values())

    @property
    def waits(self) -> bool:
        """Whether it waits to be placed."""
        return self.state in _WAITS

    @property
    def cancelling(self) -> bool:
        """Whether somebody wants it cancelled."""
        return self.state in _CANCELLING

    def hear(self, word: Word) -> tuple[Act, ...]:
        """
        Something happened to this job.

        @param word: a method of L{Life}.
        @return: what is to be done.  What the table does not have for this state changes nothing,
            for it comes late or twice (rule 5).
        """
        row = _table[word].get(self.state)
        if row is None:
            return ()
        acts: tuple[Act, ...] = getattr(self._life, word.__name__)()
        self.state = row[0]
        return acts

    def present(self, offer: Offer, node: str, keeper: str, started: int) -> None:
        """
        This is the offer that may run now.
        """
        self.offer = offer
        self.node = node
        self.keeper = keeper
        self.started = started

    def absent(self) -> None:
        """
        No offer of it may run now, as far as is known.
        """
        self.offer = None
        self.node = self.keeper = ""
        self.started = 0
        self.due = None


class Life(Protocol):
    """
    What happens to a job.
    """

    def offered(self) -> tuple[Act, ...]:
        """It was put before the balancer."""

    def placed(self) -> tuple[Act, ...]:
        """Its offer was given to a node."""

    def reserved(self) -> tuple[Act, ...]:
        """Its offer was given to a node that must wait until it is bound."""

    def started(self) -> tuple[Act, ...]:
        """Its offer was started."""

    def held(self) -> tuple[Act, ...]:
        """A joined node holds an offer of it, which is the newest that anybody is known to hold."""

    def held_bound(self) -> tuple[Act, ...]:
        """A joined node holds the offer that it is bound to."""

    def denied(self) -> tuple[Act, ...]:
        """Nobody holds its offer, and whoever did has not started it, or nobody ever did."""

    def lost(self) -> tuple[Act, ...]:
        """Whoever held its offer is lost, or cannot be asked any more."""

    def ended(self) -> tuple[Act, ...]:
        """Its offer ended, and its outcome came."""

    def cancelled(self) -> tuple[Act, ...]:
        """Somebody wants it cancelled, and somebody may hold it."""

    def cancelled_free(self) -> tuple[Act, ...]:
        """Somebody wants it cancelled, and nobody can hold it."""

    def condemned(self) -> tuple[Act, ...]:
        """Too many of its attempts have crashed."""

    def parted(self) -> tuple[Act, ...]:
        """The connection to the balancer ended: who holds what is known no longer."""


_builder = TypeMachineBuilder(Life, OriginJob)

_states = {
    name: _builder.state(name)
    for name in (
        "waiting",
        "offered",
        "placed",
        "running",
        "bound",
        "cancelling",
        "revoking",
        "over",
    )
}

# What it hears: from which state, to which, and what is to be done.
_table: dict[Word, dict[str, tuple[str, tuple[Act, ...]]]] = {
    Life.offered: {"waiting": ("offered", ())},
    Life.placed: {"offered": ("placed", ())},
    Life.reserved: {"offered": ("bound", (Act.BIND,))},
    Life.started: {"offered": ("running", ()), "placed": ("running", ())},
    Life.held: {
        "waiting": ("placed", (Act.KEEP,)),
        "offered": ("placed", (Act.KEEP,)),
        "placed": ("placed", (Act.KEEP,)),
        "running": ("placed", (Act.KEEP,)),
        "bound": ("bound", (Act.DROP,)),
        "cancelling": ("cancelling", (Act.CANCEL,)),
        "revoking": ("revoking", (Act.DROP,)),
        "over": ("over", (Act.DROP,)),
    },
    Life.held_bound: {
        "waiting": ("waiting", (Act.DROP,)),
        "offered": ("offered", (Act.DROP,)),
        "bound": ("bound", (Act.KEEP,)),
        "cancelling": ("cancelling", (Act.CANCEL,)),
        "revoking": ("revoking", (Act.CANCEL,)),
        "over": ("over", (Act.DROP,)),
    },
    Life.denied: {
        "offered": ("waiting", (Act.OFFER,)),
        "placed": ("waiting", (Act.OFFER,)),
        "running": ("waiting", (Act.RECORD_LOSS, Act.OFFER)),
        "bound": ("waiting", (Act.UNBIND, Act.OFFER)),
        "cancelling": ("over", (Act.END_CANCELLED,)),
        "revoking": ("over", (Act.END_CANCELLED,)),
    },
    Life.lost: {
        "offered": ("waiting", (Act.RECORD_LOSS, Act.OFFER)),
        "placed": ("waiting", (Act.RECORD_LOSS, Act.OFFER)),
        "running": ("waiting", (Act.RECORD_LOSS, Act.OFFER)),
        "bound": ("over", (Act.RECORD_LOSS, Act.END_LOST)),
        "cancelling": ("over", (Act.RECORD_LOSS, Act.END_CANCELLED)),
        "revoking": ("over", (Act.RECORD_LOSS, Act.END_LOST)),
    },
    Life.ended: {
        "offered": ("over", (Act.END,)),
        "placed": ("over", (Act.END,)),
        "running": ("over", (Act.END,)),
        "bound": ("over", (Act.END,)),
        "cancelling": ("over", (Act.END,)),
        "revoking": ("over", (Act.END,)),
    },
    Life.cancelled: {
        "waiting": ("cancelling", (Act.WISH, Act.ASK)),
        "offered": ("cancelling", (Act.WISH, Act.ASK)),
        "placed": ("cancelling", (Act.WISH, Act.CANCEL)),
        "running": ("cancelling", (Act.WISH, Act.CANCEL)),
        "bound": ("revoking", (Act.WISH, Act.CANCEL)),
    },
    Life.cancelled_free: {"waiting": ("over", (Act.END_CANCELLED,))},
    Life.condemned: {"waiting": ("over", (Act.END_QUARANTINED,))},
    Life.parted: {
        "offered": ("waiting", ()),
        "placed": ("waiting", ()),
        "running": ("waiting", ()),
    },
}

for _word, _rows in _table.items():
    for _name, (_target, _acts) in _rows.items():
        _states[_name].upon(_word).to(_states[_target]).returns(_acts)

life = _builder.build()
