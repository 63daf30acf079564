"""
Starting a program: where it is, what it gets, and what is said if it cannot be started.
"""

from __future__ import annotations

import errno
import os
import signal
from typing import Final

from jobcluster.keeper.notes import printable
from jobcluster.keeper.payloads import Command

__all__ = ["NotStartedError", "enter", "spawn"]

_DEFAULT_PATH: Final = b"/usr/local/bin:/usr/bin:/bin"
"""Where programs are looked for if no PATH is given."""

_SIGNALS: Final = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}

_NO_ROOM: Final = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})

_REASONS: Final = {
    errno.EACCES: "not executable",
    errno.ENOEXEC: "neither a program for this machine nor a script that begins with #!",
}


class NotStartedError(Exception):
    """
    A program could not be started; what is said of it is for the user.
    """


def spawn(
    command: Command,
    environment: dict[bytes, bytes],
    directory: bytes,
    streams: tuple[int, ...],
) -> int:
    """
    Start a program as the leader of a group of its own.

    The working directory of this process is another one afterwards.

    @param directory: where it is to run.
    @param streams: descriptors of its standard input, output and error, and of what more it gets.
    @return: its pid.
    @raise NotStartedError: if it cannot be started.
    """
    enter(directory)
    program = _find(command.argv[0], environment.get(b"PATH", _DEFAULT_PATH))
    actions = [(os.POSIX_SPAWN_DUP2, stream, number) for number, stream in enumerate(streams)]
    try:
        return os.posix_spawn(
            program,
            command.argv,
            environment,
            file_actions=actions,
            setpgroup=0,
            setsigmask=(),
            setsigdef=_SIGNALS,
        )
    except (OSError, ValueError) as error:
        raise NotStartedError(_no_program(command.argv[0], program, error)) from error


def enter(directory: bytes) -> None:
    """
    Make this the working directory.

    @raise NotStartedError: if that is not possible.
    """
    try:
        os.chdir(directory)
    except (OSError, ValueError) as error:
        raise NotStartedError(_no_directory(directory, error)) from error


def _find(name: bytes, path: bytes) -> bytes:
    """The file that a name of a program means, as execvp(3) would find it."""
    if b"/" in name:
        return name
    found = name
    for directory in path.split(b":") if name else ():
        candidate = os.path.join(directory, name)  # noqa: PTH118 - bytes
        if b"/" not in candidate:
            candidate = b"./" + candidate  # an empty entry is the working directory
        try:
            if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):  # noqa: PTH112
                return candidate
            if found == name and os.path.isfile(candidate):  # noqa: PTH113 - bytes
                found = candidate
        except ValueError:
            break  # a NUL in it
    if found == name:
        raise NotStartedError(f"no such program: {printable(name)}")
    raise NotStartedError(f"not executable: {printable(found)}")


def _no_directory(directory: bytes, error: OSError | ValueError) -> str:
    name = printable(directory)
    match error:
        case FileNotFoundError():
            return f"the working directory does not exist: {name}"
        case NotADirectoryError():
            return f"the working directory is not a directory: {name}"
        case PermissionError():
            return f"the working directory may not be entered: {name}"
        case OSError(strerror=reason):
            return f"the working directory cannot be entered: {name}: {reason}"
        case _:
            return f"the working directory has a NUL in its name: {name}"


def _no_program(name: bytes, program: bytes, error: OSError | ValueError) -> str:
    if not isinstance(error, OSError):
        return f"the arguments and environment cannot be passed on: {error}"
    number = error.errno or 0
    if number == errno.E2BIG:
        return "the argument list is too long, together with the environment"
    if number in _NO_ROOM:
        return f"the machine has no room for another process: {error.strerror}"
    if number in (errno.ENOENT, errno.ENOTDIR):
        # The kernel says the same of the program that stands behind #!.
        there = os.path.exists(program)  # noqa: PTH110 - bytes
        what = "the interpreter of this script does not exist" if there else "no such program"
    else:
        what = _REASONS.get(number, f"the program cannot be started ({error.strerror})")
    return f"{what}: {printable(name)}"
