"""
The settings of the daemons: where each comes from, and what it may be.

The command line wins over C{JOBCLUSTER_NAME} in the environment, which wins over the bare name that
the original used, which wins over the default.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import attrs

from jobcluster.core.description import ADMITTED_LABEL, MAX_LABELS, is_label
from jobcluster.core.values import ADMITTED_NAME, is_name

__all__ = [
    "BALANCER",
    "CLIENT_PORT",
    "CLIENT_SOCKET",
    "NODE",
    "Setting",
    "UnusableSettingError",
    "choice",
    "days",
    "flag",
    "milliseconds",
    "node_name",
    "resolve",
    "seconds",
    "state_home",
    "text",
    "whole",
]

CLIENT_PORT: Final = "tcp:9001:interface=127.0.0.1"
"""Where programs find a node that was told nothing else."""

CLIENT_SOCKET: Final = "client"
"""The name of the UNIX socket in a node's state directory, where they always do."""

_T = TypeVar("_T")

_MOST: Final = 2**31 - 1
_DAY_MS: Final = 86_400_000


class UnusableSettingError(ValueError):
    """
    A setting is nonsensical; says in one line which, and what it may be.
    """


@attrs.frozen
class Setting(Generic[_T]):
    """
    One setting.
    """

    name: str
    """As an option, without the dashes; in the environment in capitals, after C{JOBCLUSTER_}."""
    default: str
    parse: Callable[[str], _T]
    """Raises L{ValueError} that says what the setting may be."""
    help: str
    bare: str = ""
    """The original's name in the environment."""

    @property
    def variable(self) -> str:
        """The name in the environment."""
        return "JOBCLUSTER_" + self.name.upper().replace("-", "_")

    def read(self, option: str | None, environ: Mapping[str, str]) -> _T:
        """
        The value that is in force.

        @param option: what the command line says, if anything.
        @raise UnusableSettingError: if that is nonsense.
        """
        where, found = self._find(option, environ)
        try:
            return self.parse(found)
        except ValueError as reason:
            raise UnusableSettingError(f"{where} is {found!r}, but must be {reason}") from None

    def source(self, option: str | None, environ: Mapping[str, str]) -> str:
        """
        What the value that is in force was set by: the option, a variable, or its default.
        """
        return self._find(option, environ)[0]

    def _find(self, option: str | None, environ: Mapping[str, str]) -> tuple[str, str]:
        for where, found in (
            (f"--{self.name}", option),
            (self.variable, environ.get(self.variable)),
            (self.bare, environ.get(self.bare) if self.bare else None),
        ):
            if found is not None:
                return where, found
        return f"--{self.name}", self.default


def whole(least: int, most: int = _MOST, unit: str = "") -> Callable[[str], int]:
    """
    A whole number.
    """

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or not least <= int(text) <= most:
            raise ValueError(f"a whole number{unit} from {least} to {most}")
        return int(text)

    return parse


def milliseconds(least: int) -> Callable[[str], float]:
    """
    A time that is given in milliseconds; the value is in seconds.
    """
    parse = whole(least, _DAY_MS, " of milliseconds")
    return lambda text: parse(text) / 1000


def seconds(least: float, most: float) -> Callable[[str], float]:
    """
    A time in seconds.
    """

    def parse(text: str) -> float:
        value = float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else math.nan
        if not least <= value <= most:
            raise ValueError(f"a number of seconds from {least:g} to {most:g}")
        return value

    return parse


def days(value: str) -> float:
    """
    A time in days.
    """
    try:
        return seconds(0.001, 36500)(value)
    except ValueError:
        raise ValueError("a number of days from 0.001 to 36500") from None


def choice(*words: str) -> Callable[[str], str]:
    """
    One of some words.
    """

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(" or ".join(words))
        return text

    return parse


def flag(text: str) -> bool:
    """
    Whether something is on: 1 or 0.
    """
    if text not in ("0", "1"):
        raise ValueError("1 or 0")
    return text == "1"


def text(value: str) -> str:
    """
    Any text.
    """
    return value


def node_name(value: str) -> str:
    """
    The name of a node, or nothing.
    """
    if value and not is_name(value):
        raise ValueError(ADMITTED_NAME)
    return value


def _bytes_free(value: str) -> int:
    match = re.fullmatch(r"([0-9]{1,15})([KMG]?)", value)
    if match is None:
        raise ValueError("a number of bytes, or of KiB, MiB or GiB with K, M or G behind it")
    return int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2]]


def _bytes_from(least: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if _bytes_free(value) < least:
            raise ValueError(f"at least {least} byte")
        return _bytes_free(value)

    return parse


def _slots(value: str) -> int | None:
    return None if value == "auto" else whole(0, 100_000)(value)


def _labels(value: str) -> tuple[str, ...]:
    labels = sorted({label.strip() for label in value.split(",")} - {""})
    if len(labels) > MAX_LABELS or not all(map(is_label, labels)):
        raise ValueError(f"at most {MAX_LABELS} labels parted by commas, each {ADMITTED_LABEL}")
    return tuple(labels)


_LOG_FORMAT: Final[Setting[Any]] = Setting(
    "log-format", "text", choice("text", "json"), "text or json (one object per line)"
)
_TRUST: Final[Setting[Any]] = Setting(
    "trust-network",
    "0",
    flag,
    "listen beyond loopback without TLS and authentication: everyone who reaches the port can"
    " run jobs",
)
_VERBOSE: Final[Setting[Any]] = Setting(
    "verbose", "0", flag, "log each submission, dispatch and end", bare="VERBOSE"
)

BALANCER: Final[tuple[Setting[Any], ...]] = (
    Setting("listen", "tcp:7000:interface=127.0.0.1", text, "where nodes connect (an endpoint)"),
    Setting(
        "rejoin-grace",
        "3",
        seconds(1, 3600),
        "seconds a node whose connection ended may take to join again",
    ),
    Setting(
        "dispatch-period",
        "5000",
        milliseconds(1),
        "milliseconds: a full round of placement at least this often",
        bare="DISPATCH_PERIOD",
    ),
    Setting(
        "max-num-jobs-dispatch",
        "30",
        whole(1),
        "in the periodic mode, the most jobs of a round; an eager round places all it can",
        bare="MAX_NUM_JOBS_DISPATCH",
    ),
    Setting(
        "request-result-period",
        "3000",
        milliseconds(1),
        "milliseconds: outcomes not yet acknowledged are told again this often",
        bare="REQUEST_RESULT_PERIOD",
    ),
    Setting(
        "max-num-nodes",
        "10",
        whole(1, 100_000),
        "the most nodes that may join",
        bare="MAX_NUM_NODES",
    ),
    Setting(
        "dispatch-mode",
        "eager",
        choice("eager", "periodic"),
        "eager, or periodic: jobs move only every dispatch period",
        bare="DISPATCH_MODE",
    ),
    _VERBOSE,
    _TRUST,
    _LOG_FORMAT,
)

NODE: Final[tuple[Setting[Any], ...]] = (
    Setting("balancer", "tcp:127.0.0.1:7000", text, "where the balancer is (an endpoint)"),
    Setting(
        "console", "tcp:9000:interface=127.0.0.1", text, "where sessions connect (an endpoint)"
    ),
    Setting(
        "client",
        "auto",
        text,
        "where programs connect, beside the UNIX socket in the state directory: an endpoint, auto"
        " for tcp:9001:interface=127.0.0.1 unless that is taken, or none",
    ),
    Setting("state", "", text, "the directory that keeps this node's jobs"),
    Setting("name", "", node_name, "the node's name; by default the host's, made to fit"),
    Setting(
        "slots", "auto", _slots, "how many jobs run at once; by default one for each usable core"
    ),
    Setting(
        "labels",
        "",
        _labels,
        "what this node has, parted by commas, for jobs that require it, such as gpu or mem=big",
    ),
    Setting(
        "min-free",
        "64M",
        _bytes_free,
        "no job is taken when less is free on the state directory's disk (K, M, G)",
    ),
    Setting("retention", "30", days, "days for which outcomes are kept after their end"),
    Setting(
        "console-prompt",
        "auto",
        choice("auto", "on", "off"),
        "auto: a prompt for telnet, none for others",
    ),
    Setting(
        "on-stop",
        "end",
        choice("end", "keep"),
        "end: what runs here is handed back when the node stops; keep: it goes on if it can",
    ),
    Setting(
        "kill-after",
        "5",
        seconds(0, 3600),
        "seconds between SIGTERM and SIGKILL for a command that is to end",
    ),
    Setting(
        "max-output",
        "1G",
        _bytes_from(1),
        "bytes of output that end a command as failed (K, M, G)",
    ),
    Setting(
        "allow-pickle",
        "0",
        flag,
        "call functions that come as a pickle, which can be any code; those that are named"
        " (module:name) are always called",
    ),
    _VERBOSE,
    _TRUST,
    _LOG_FORMAT,
)


def resolve(
    settings: tuple[Setting[Any], ...],
    options: Mapping[str, str | None],
    environ: Mapping[str, str],
) -> dict[str, Any]:
    """
    The values of all settings, by their names.

    @raise UnusableSettingError: if one is nonsense.
    """
    return {setting.name: setting.read(options.get(setting.name), environ) for setting in settings}


def state_home(environ: Mapping[str, str]) -> Path:
    """
    Where the state directories are of nodes that were told nothing else.
    """
    home = environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "jobcluster"
