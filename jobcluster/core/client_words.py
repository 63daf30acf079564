"""
What a client and a node say to each other, as plain immutable values.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import attrs

from jobcluster.core.views import JobView

__all__ = ["CLIENT_VERSION", "Greeting", "Listing", "Shown", "Told"]

CLIENT_VERSION: Final = 1
"""
The version of the client protocol: what an older one would misread makes it another one.

It is counted apart from that between nodes and balancer, for clients are upgraded one by one.
"""


@attrs.frozen
class Greeting:
    """Who a node says that it is, when a client has said hello."""

    version: int
    """Its L{CLIENT_VERSION}."""
    node: str
    """Its name; empty as long as its store is not open."""
    store: str
    """The id of its store; a key is only good for this one."""
    program: str
    """The version of jobcluster that it runs."""
    trouble: str = ""
    """Why it is not joined, one line; empty while it is."""


@attrs.frozen
class Listing:
    """Which jobs of a node a client wants to see, a page of them."""

    state: str = ""
    """One of L{jobcluster.core.views.STATES}, or empty for all."""
    name: str = ""
    tags: tuple[str, ...] = ()
    """What the jobs are called; of several tags they have all."""
    after: str = ""
    """The ticket behind which the page begins; empty for the first one."""
    limit: int = 200
    """The most jobs of the page; fewer may come though there are more."""


class Told(NamedTuple):
    """The answer about one job of many that were submitted or cancelled."""

    text: str = ""
    """The ticket of what was submitted, or what became of the wish to cancel; the error's message
    where there is an error."""
    error: str = ""
    """The name of an error of L{jobcluster.errors}."""


class Shown(NamedTuple):
    """A job, or why it cannot be shown."""

    ticket: str
    view: JobView | None = None
    error: str = ""
    """The name of an error of L{jobcluster.errors}, where there is no view."""
    text: str = ""
    """Its message."""
