"""
What the text of an endpoint tells, without a reactor.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["has_port", "is_beyond_loopback", "split_endpoint"]

_PORTS: Final = 65_535


def split_endpoint(endpoint: str) -> tuple[str, list[str], dict[str, str]]:
    """
    The kind of an endpoint, its arguments without a name, and those with one; as far as its text
    tells, for it need not be one.
    """
    kind, *arguments = re.split(r"(?<!\\):", endpoint)
    positional, named = [], {}
    for argument in arguments:
        # What stands behind a backslash is meant as it is.
        *name, value = (
            re.sub(r"\\(.)", r"\1", part) for part in re.split(r"(?<!\\)=", argument, maxsplit=1)
        )
        if name:
            named[name[0]] = value
        else:
            positional.append(value)
    return kind, positional, named


def has_port(endpoint: str, least: int) -> bool:
    """
    Whether the port of an endpoint, if it is one with a port, is from C{least} to 65535.
    """
    kind, positional, named = split_endpoint(endpoint)
    if kind not in ("tcp", "ssl", "tcp6"):
        return True
    ports = [named["port"]] if "port" in named else []
    ports += [part for part in positional if part.isdecimal()]
    return all(part.isdecimal() and least <= int(part) <= _PORTS for part in ports[:1])


def is_beyond_loopback(endpoint: str) -> bool:
    """
    Whether a server endpoint can be reached from other machines, as far as its text tells.
    """
    kind, positional, named = split_endpoint(endpoint)
    if kind == "unix":
        return False
    interface = named.get("interface", positional[1] if len(positional) > 1 else "")
    return kind not in ("tcp", "tcp6") or not re.fullmatch(
        r"localhost|::1|127\.[0-9]+\.[0-9]+\.[0-9]+", interface
    )
