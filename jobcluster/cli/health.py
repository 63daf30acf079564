"""
C{jobcluster-health}: ask the daemons that run here whether they are well.

Each is asked something that it has to answer by itself: that its port is open says nothing, for the
kernel goes on taking connections for a daemon that is frozen.
It imports no reactor, for it is started every few seconds.
"""

from __future__ import annotations

import argparse
import getopt
import os
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from jobcluster import __version__
from jobcluster.config import (
    BALANCER,
    NODE,
    Setting,
    flag,
    seconds,
)
from jobcluster.core.values import format_ticket
from jobcluster.core.views import Ask
from jobcluster.endpoints import split_endpoint
from jobcluster.errors import NotJoinedError, UnknownTicketError
from jobcluster.wire.codec import pack

__all__ = ["Daemon", "SickError", "address_of", "ask", "ask_balancer", "ask_node", "find", "main"]

LIMIT: Final = "4"
"""Seconds in which a daemon is to have answered, unless something else is said."""

_DESCRIPTION: Final = """
Ask each jobbalancer and jobnode of this user on this machine, or in this container, something that
it has to answer by itself; root asks those of all users. It is well if it answers in time; a node
also has to read its database. Whether it has joined is not asked: a node without a balancer takes
jobs, and runs what it runs.
The exit status is 0 if all are well.
"""

_PROC: Final = Path("/proc")

_PIECE: Final = 65_536
"""Bytes that are read at once."""

_ANSWER_LIMIT: Final = 2**20
"""Bytes of an answer that nobody needs all of."""

Talk = Callable[[socket.socket, float], None]
"""Speaks to a daemon until it has answered, up to a time of the monotonic clock."""


class SickError(Exception):
    """
    A daemon is not well; says why, in one line.
    """


@attrs.frozen
class _Kind:
    """What kind of daemon."""

    title: str
    settings: tuple[Setting[Any], ...]
    listening: str
    """The option that says where it listens."""


KINDS: Final = {
    "jobbalancer": _Kind("balancer", BALANCER, "listen"),
    "jobnode": _Kind("node", NODE, "console"),
}
"""By the names that twistd knows them by."""


@attrs.frozen
class Daemon:
    """One that runs."""

    kind: str
    endpoint: str
    """Where it listens."""


# -- which daemons there are -----------------------------------------------------------------------


def find(proc: Path, user: int) -> Iterator[Daemon]:
    """
    Find the daemons of a user, or all of them for root, each with where it listens.

    Those with a network of their own, as in a container, are none of them: they cannot be asked.

    What it was started with says so: in a container only that is known, for any of the options, the
    variables and the arguments of the image may say it.

    @param proc: where the processes are, as in C{/proc}.
    """
    here = _network(proc / "self")
    for entry in sorted(proc.iterdir()):
        if not entry.name.isdecimal():
            continue
        try:
            if user not in (0, entry.stat().st_uid) or _network(entry) != here:
                continue
            arguments = _strings(entry / "cmdline")
            kind = _kind_of(arguments)
            if kind:
                pairs = [pair.partition("=") for pair in _strings(entry / "environ")]
                environ = {name: value for name, _, value in pairs}
                yield Daemon(kind, _listens_on(kind, arguments, environ))
        except (OSError, ValueError, getopt.GetoptError):
            continue  # it has ended, or is about to


def _network(process: Path) -> str:
    """
    Which network a process is in, where that can be told.
    """
    try:
        return str((process / "ns" / "net").readlink())
    except FileNotFoundError:
        return ""


def _strings(path: Path) -> list[str]:
    """
    What is in a file of strings with a NUL behind each.
    """
    return os.fsdecode(path.read_bytes()).split("\0")[:-1]


def _kind_of(arguments: Sequence[str]) -> str:
    """
    Which daemon was started so, if any: twistd may be a script, behind its Python.
    """
    if "twistd" not in [Path(argument).name for argument in arguments[:2]]:
        return ""
    return next((argument for argument in arguments if argument in KINDS), "")


def _listens_on(kind: str, arguments: Sequence[str], environ: Mapping[str, str]) -> str:
    """
    Where a daemon listens, by its command line or its environment.
    """
    chosen = KINDS[kind]
    known = [s.name if s.parse is flag else f"{s.name}=" for s in chosen.settings]
    given, _ = getopt.getopt(list(arguments[arguments.index(kind) + 1 :]), "", known)
    option = dict(given).get(f"--{chosen.listening}")
    [setting] = [s for s in chosen.settings if s.name == chosen.listening]
    return str(setting.read(option, environ))


# -- how they are reached --------------------------------------------------------------------------


def address_of(endpoint: str) -> str | tuple[str, int]:
    """
    What to connect to, to reach what listens on this: a path, or a host and a port.

    @raise SickError: if that cannot be told.
    """
    kind, positional, named = split_endpoint(endpoint)
    first = positional[0] if positional else ""
    if kind == "unix":
        return named.get("address", first)
    if kind not in ("tcp", "tcp6"):
        raise SickError("only tcp, tcp6 and unix endpoints can be asked")
    port = named.get("port", first)
    interface = named.get("interface", positional[1] if len(positional) > 1 else "")
    if not port.isdecimal():
        raise SickError("that is no endpoint")
    if interface in ("", "0.0.0.0", "::"):  # noqa: S104 - nothing listens here
        interface = "127.0.0.1" if kind == "tcp" else "::1"
    return interface, int(port)


def ask(endpoint: str, talk: Talk, limit: float) -> None:
    """
    Ask the daemon that listens there.

    @param limit: seconds.
    @raise SickError: if it is not well.
    """
    due = time.monotonic() + limit
    address = address_of(endpoint)
    try:
        if isinstance(address, str):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(limit)
            with connection:
                connection.connect(address)
                talk(connection, due)
        else:
            with socket.create_connection(address, limit) as connection:
                talk(connection, due)
    except TimeoutError:
        raise SickError(f"it did not answer within {limit:g} s") from None
    except OSError as error:
        raise SickError(f"it cannot be asked: {error.strerror or error}") from None


def _receive(connection: socket.socket, due: float) -> bytes:
    """
    Some bytes, or none if the other side has closed the connection.

    @raise TimeoutError: if none come in time.
    """
    left = due - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)
    return connection.recv(_PIECE)


# -- what they are asked ---------------------------------------------------------------------------


def ask_node(connection: socket.socket, due: float) -> None:
    """
    Ask a node, over its console, about a job that it never had: it has to look into its database.

    Its prompt tells its name, without which a ticket would be another node's.
    """
    connection.sendall(b"prompt on\n")
    said = b""
    while not (prompt := re.search(rb"The prompt is on\.\n([a-z0-9-]*)> \Z", said)):
        said += _more(connection, due, said)
    name = prompt[1].decode("ascii")
    if not name:
        raise SickError("it is still opening its state directory")
    connection.sendall(f"status {format_ticket(name, 0)}\n".encode())
    said = b""
    while b"\n" not in said:
        said += _more(connection, due, said)
    answer = said.partition(b"\n")[0].decode("utf-8", "replace").strip()
    if answer != f"Error: {UnknownTicketError()}":
        raise SickError(f"it answered: {answer}")


def ask_balancer(connection: socket.socket, due: float) -> None:
    """
    Ask a balancer whether anybody is there: it answers that one has to join first.
    """
    question = {b"_ask": b"1", b"_command": b"Ask", b"ask": pack(Ask("", ""))}
    connection.sendall(_box(question))
    said = b""
    while (answer := _read_box(said)) is None:
        said += _more(connection, due, said)
    if b"_answer" not in answer and answer.get(b"_error_code") != NotJoinedError.__name__.encode():
        raise SickError(f"it answered: {answer.get(b'_error_description', b'').decode()}")


TALKS: Final[dict[str, Talk]] = {"jobbalancer": ask_balancer, "jobnode": ask_node}


def _more(connection: socket.socket, due: float, said: bytes) -> bytes:
    more = _receive(connection, due)
    if not more or len(said) > _ANSWER_LIMIT:
        raise SickError("it does not answer as a daemon of jobcluster does")
    return more


def _box(pairs: Mapping[bytes, bytes]) -> bytes:
    """
    A box of AMP: keys and values with their lengths, and no key at the end.
    """
    strings = [string for pair in pairs.items() for string in pair]
    return b"".join(struct.pack("!H", len(s)) + s for s in [*strings, b""])


def _read_box(data: bytes) -> dict[bytes, bytes] | None:
    """
    The first box in these bytes, once it is there whole.
    """
    strings: list[bytes] = []
    while len(data) >= 2:  # noqa: PLR2004 - a length has two bytes
        [length] = struct.unpack_from("!H", data)
        string, data = data[2 : 2 + length], data[2 + length :]
        if not string and len(strings) % 2 == 0:
            return dict(zip(strings[::2], strings[1::2], strict=True))
        if len(string) < length:
            break
        strings.append(string)
    return None


# -- the command -----------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Do it.

    @param arguments: those of the command line by default.
    @raise SystemExit: with 1 if one is not well, or none is there.
    """
    parser = argparse.ArgumentParser("jobcluster-health", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("--limit", default=LIMIT, help="seconds that a daemon has to answer [4]")
    parser.add_argument("--console", metavar="ENDPOINT", help="ask the node that listens there")
    parser.add_argument("--listen", metavar="ENDPOINT", help="ask the balancer that listens there")
    wanted = parser.parse_args(arguments)
    try:
        limit = seconds(0.1, 3600)(wanted.limit)
    except ValueError as reason:
        raise SystemExit(f"--limit is {wanted.limit!r}, but must be {reason}") from None
    daemons = [
        Daemon(kind, endpoint)
        for kind, endpoint in (("jobnode", wanted.console), ("jobbalancer", wanted.listen))
        if endpoint is not None
    ]
    daemons = daemons or list(find(_PROC, os.getuid()))
    if not daemons:
        whose = "" if os.getuid() == 0 else " of this user"
        raise SystemExit(f"not well: no daemon{whose} runs here")
    # Each is asked, so that each has its line.
    wellness = [_is_well(daemon, limit) for daemon in daemons]
    if not all(wellness):
        raise SystemExit(1)


def _is_well(daemon: Daemon, limit: float) -> bool:
    """
    Ask a daemon, and say what became of it.
    """
    described = f"the {KINDS[daemon.kind].title} on {daemon.endpoint}"
    try:
        ask(daemon.endpoint, TALKS[daemon.kind], limit)
    except SickError as reason:
        print(f"not well: {described}: {reason}")
        return False
    print(f"well: {described}")
    return True


if __name__ == "__main__":
    main()
