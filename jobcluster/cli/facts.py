"""
Jobs and nodes as JSON, for programs that read what the command line prints.
"""

from __future__ import annotations

import base64
from typing import Any

import attrs

from jobcluster.client.calls import value_of_call
from jobcluster.consoles.words import describe_job, output_sizes
from jobcluster.core.commands import COMMAND
from jobcluster.core.functions import FUNCTION
from jobcluster.core.values import SLEEP, Outcome, Status
from jobcluster.core.views import ClusterView, JobView
from jobcluster.errors import UserError

__all__ = ["facts_of_cluster", "facts_of_job", "facts_of_output"]


def facts_of_job(ticket: str, view: JobView) -> dict[str, Any]:
    """
    What is known of a job; times are seconds since the epoch.
    """
    facts: dict[str, Any] = {
        "ticket": ticket,
        "kind": view.kind,
        "state": view.state if view.outcome is None else view.outcome.status,
        "submitted": view.submitted / 1000,
        "attempts": view.attempts,
        "node": view.node,
        "name": view.name,
        "tags": list(view.tags),
    }
    if view.payload:
        facts["job"] = describe_job(view)
    if view.outcome is not None:
        facts.update(_facts_of_outcome(view, view.outcome))
    return facts


def facts_of_output(stream: str, data: bytes) -> dict[str, str]:
    """
    Output: as text, or where it is none, in base 64.
    """
    try:
        return {stream: data.decode()}
    except UnicodeDecodeError:
        return {f"{stream}_base64": base64.b64encode(data).decode("ascii")}


def facts_of_cluster(view: ClusterView) -> dict[str, Any]:
    """
    The nodes, and how well the cluster is balanced.
    """
    return attrs.asdict(view)


def _facts_of_outcome(view: JobView, outcome: Outcome) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "node": outcome.node,
        "started": outcome.started / 1000 or None,
        "ended": outcome.ended / 1000,
    }
    if outcome.detail:
        facts["detail"] = outcome.detail
    if view.kind == COMMAND:
        facts["code"] = outcome.code
        facts["out_size"], facts["err_size"] = output_sizes(outcome)
    elif view.kind == FUNCTION and outcome.status == Status.SUCCEEDED:
        facts |= _facts_of_value(view, outcome.value)
    elif view.kind == SLEEP:
        facts["value"] = outcome.value.decode("utf-8", "replace")
    return facts


def _facts_of_value(view: JobView, value: bytes) -> dict[str, Any]:
    """What a function has returned; a pickle is not opened."""
    try:
        return {"value": value_of_call(view, value, allow_pickle=False)}
    except (UserError, ValueError):
        return {"pickle_base64": base64.b64encode(value).decode("ascii")}
