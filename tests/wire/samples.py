"""
Batches to send: one of each type with something in every field, and strategies for any others.
"""

from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import attrs
from hypothesis import strategies as st

from jobcluster.core.values import SLEEP, Held, Outcome, RunState, Status, Terms
from jobcluster.core.views import Ask, BalanceView, ClusterView, JobView, NodeView, Reply
from jobcluster.core.words import (
    Dispatch,
    Ended,
    Finished,
    HeldBy,
    JoinPart,
    Kept,
    Load,
    LostBy,
    Named,
    Nobody,
    Offered,
    Placed,
    Question,
    Report,
    Start,
    StartedAt,
    StartedBy,
    Told,
)

JOB = 3_700_000_000_000_000_000
AT = 1_764_000_000_123
STORE = "0123456789abcdef"
TERMS = Terms(balancer="b7c1", grace=3.0, lease=2.5, retell=3.0)
OUTCOME = Outcome(Status.FAILED, -9, "killed", AT, AT + 250, "node-b", b"\x00\xff")

JOIN = JoinPart(
    version=2,
    name="node-a",
    store=STORE,
    incarnation=7,
    random=2**62,
    serial=2,
    part=0,
    last=True,
    boot="5e1f",
    keeper="",
    slots=2,
    labels=("disk", "gpu"),
    draining=True,
    stopping=True,
    beyond=96_000,
    remark="trusts its network",
    inventory=(Held("node-b", STORE, JOB, 3, 9, RunState.RUNNING, AT),),
    offered=(
        Offered(JOB + 1, 7, 1, SLEEP, b"250", 5, "gpu", 2, fresh=True, suspect=True, once=True),
    ),
    questions=(Question(JOB + 2, 6, 4, "node-b", STORE), Question(JOB + 3, 0, 0)),
)

REPORT = Report(
    load=Load(2, 1, 96_000, draining=True, stopping=False),
    offered=JOIN.offered,
    bound=(Told(JOB, 7, 2),),
    withdrawn=(Question(JOB + 2, 7, 3),),
    started=(StartedAt("node-b", STORE, 3, 9, AT),),
    refused=(Named("node-b", STORE, 3, 10),),
    finished=(
        Finished("node-b", STORE, 3, 11, JOB, OUTCOME),
        Finished("node-a", STORE, 7, 1, JOB + 1, None),
    ),
    gone=(Named("node-b", STORE, 3, 12),),
    keep=(Kept(JOB, 6, 4, 9),),
    cancel=(Told(JOB, 7, 5),),
    drop=(Told(JOB, 7, 6),),
    acknowledge=(Told(JOB, 7, 8),),
)

DISPATCH = Dispatch(
    start=(Start("node-b", STORE, JOB, 3, 9, SLEEP, b"250", 1, once=True, suspect=True),),
    cancel=(Named("node-b", STORE, 3, 10),),
    drop=(Named("node-b", STORE, 3, 11),),
    acknowledge=(Named("node-b", STORE, 3, 12),),
    nobody=(Nobody(JOB, 7, 1), Nobody(JOB, 7, 2, gone=True)),
    lost=(LostBy(JOB, 7, 3, "node-b", "k1", "node-lost", AT),),
    placed=(Placed(JOB, 7, 4, "node-b", STORE, "k1"),),
    held=(HeldBy(JOB, 7, 5, "node-b", "k1", RunState.WAITING, 0),),
    started=(StartedBy(JOB, 7, 6, AT),),
    outcome=(Ended(JOB, 7, 8, OUTCOME),),
)

ASK = Ask(node="node-b", verb="wait", job=JOB, patience=20.0)

REPLY = Reply(
    view=JobView(JOB, SLEEP, b"250", "ended", AT, 2, "node-b", OUTCOME, "nightly", ("a", "b")),
    cluster=ClusterView(
        nodes=(NodeView("node-a", "joined", 2, 1, 1, 40, 3, "trusts its network"),),
        balance=BalanceView(1, 0.25, 0.995, 2, 12.5, 3),
        mode="eager",
    ),
    text="cancelled",
)

SAMPLES = (JOIN, REPORT, DISPATCH, ASK, REPLY, TERMS)


def sleeps(count: int, payload: bytes = b"250", first: int = 0) -> tuple[Offered, ...]:
    """
    That many offers.
    """
    return tuple(
        Offered(JOB + serial, 7, serial, SLEEP, payload, 0, "", 1, True, False, False)
        for serial in range(first, first + count)
    )


_LEAVES: dict[object, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(max_size=8),
    bytes: st.binary(max_size=8),
    bool: st.booleans(),
    type(None): st.none(),
}


def anything(hint: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - a type, or what stands for one
    """
    Values of a type: of a batch, of a row, of what is in one.
    """
    if hint in _LEAVES:
        return _LEAVES[hint]
    if get_origin(hint) is tuple:
        return st.lists(anything(get_args(hint)[0]), max_size=3).map(tuple)
    if get_args(hint):
        return st.one_of([anything(part) for part in get_args(hint)])
    hints = get_type_hints(hint)
    return st.builds(hint, **{name: anything(hints[name]) for name in fields_of(hint)})


def fields_of(kind: Any) -> list[str]:  # noqa: ANN401 - an attrs class or a NamedTuple
    """
    The names of what a batch or a row consists of.
    """
    if issubclass(kind, tuple):
        return list(kind._fields)
    return [field.name for field in attrs.fields(kind)]


def row_types(kind: Any) -> dict[str, type[NamedTuple]]:  # noqa: ANN401 - an attrs class
    """
    The fields of a batch that are rows, with the type of these.
    """
    return {
        name: get_args(hint)[0]
        for name, hint in get_type_hints(kind).items()
        if get_origin(hint) is tuple and hasattr(get_args(hint)[0], "_fields")
    }
