"""
Where the node is that a program is to talk to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from twisted.internet.endpoints import clientFromString

from jobcluster.client.link import Place
from jobcluster.config import (
    CLIENT_PORT,
    CLIENT_SOCKET,
    state_home,
)
from jobcluster.endpoints import split_endpoint
from jobcluster.errors import UserError

__all__ = ["VARIABLE", "find_places"]

VARIABLE: Final = "JOBCLUSTER_CONNECT"
"""The variable that says where the node is."""

_TIMEOUT: Final = 5
"""Seconds in which a connection is to be made."""


def find_places(
    reactor: Any,  # noqa: ANN401 - has no type of its own: many interfaces in one
    connect: str,
    environ: Mapping[str, str],
) -> list[Place]:
    """
    Where a node may be: there, or where C{JOBCLUSTER_CONNECT} says, or else on this machine.

    @param connect: an endpoint, C{HOST:PORT}, or the path of a socket; or empty.
    @raise UserError: if that is none of these.
    """
    asked = connect or environ.get(VARIABLE, "")
    if asked:
        return [_place(reactor, asked)]
    sockets = sorted(state_home(environ).glob(f"*/{CLIENT_SOCKET}"))
    _, [port, *_], named = split_endpoint(CLIENT_PORT)
    endpoints = [*(f"unix:{_escaped(str(path))}" for path in sockets)]
    return [_place(reactor, each) for each in [*endpoints, f"tcp:{named['interface']}:{port}"]]


def _place(reactor: Any, connect: str) -> Place:  # noqa: ANN401 - as above
    endpoint = connect
    if connect.startswith("/"):
        endpoint = f"unix:{_escaped(connect)}"
    elif re.fullmatch(r"[A-Za-z0-9._-]+:[0-9]{1,5}", connect) and not connect.startswith("tcp:"):
        endpoint = f"tcp:{connect}"
    kind = endpoint.partition(":")[0]
    if kind in ("tcp", "unix"):
        endpoint += f":timeout={_TIMEOUT}"
    try:
        return connect, clientFromString(reactor, endpoint)
    except Exception as reason:  # noqa: BLE001 - whatever a parser raises, it is no endpoint
        why = " ".join(str(reason).split())
        raise UserError(
            f"{connect!r} is no place of a node: use an endpoint such as tcp:127.0.0.1:9001,"
            f" HOST:PORT, or the path of a socket ({why})."
        ) from None


def _escaped(path: str) -> str:
    return re.sub(r"([\\:])", r"\\\1", path)
