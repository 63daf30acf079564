"""
Machines with their clocks, and the processes on them, which can be stopped, continued and killed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from jobcluster.core.values import Now
from tests.core.rig.ground import EPOCH, BrokenPromiseError, Ground

__all__ = ["Machine", "Process", "Readable", "Sleep"]

_BLINK = 0.0002
_BUSY = 2_000


class Machine:
    """
    What has clocks of its own, and an id for each time that it was booted.
    """

    __slots__ = ("_booted", "_boots", "_clock", "_suspended", "boot_id", "name")

    def __init__(self, ground: Ground, name: str) -> None:
        """
        A machine that was booted some time ago.
        """
        self.name = name
        self._clock = ground.clock
        self._booted = ground.clock.seconds() - ground.rng.uniform(1.0, 100_000.0)
        self._suspended = 0.0
        self._boots = 1
        self.boot_id = f"{name}-boot-1"

    def now(self) -> Now:
        """
        The three clocks.
        """
        seconds = self._clock.seconds()
        boot = seconds - self._booted
        return Now(boot - self._suspended, boot, EPOCH + seconds)

    def boot_time(self) -> float:
        """
        The clock that suspension does not stop, alone.
        """
        return self._clock.seconds() - self._booted

    def suspended(self, seconds: float) -> None:
        """
        For so long the machine was suspended just now.
        """
        self._suspended += seconds

    def reboot(self) -> None:
        """
        Begin anew.
        """
        self._boots += 1
        self._booted = self._clock.seconds()
        self._suspended = 0.0
        self.boot_id = f"{self.name}-boot-{self._boots}"


class Readable(Protocol):
    """
    Something of which a process that was stopped has not read everything.
    """

    def read_next(self) -> bool:
        """
        Read one thing.

        @return: whether there is more.
        """


@implementer(IReactorTime)
class Process:
    """
    A process is a reactor: a stopped one makes no calls and reads nothing, a dead one never again.
    """

    def __init__(self, ground: Ground, machine: Machine, name: str) -> None:
        """
        A process that runs.
        """
        self.ground = ground
        self.machine = machine
        self.name = name
        self.alive = True
        self.frozen = False
        self.unread: dict[Readable, None] = {}
        self._overdue: deque[
            tuple[Callable[..., object], tuple[object, ...], dict[str, object]]
        ] = deque()

    # -- IReactorTime ------------------------------------------------------------------------------

    def seconds(self) -> float:
        """
        See L{IReactorTime}.
        """
        return self.ground.clock.seconds()

    def callLater(
        self,
        delay: float,
        callable: Callable[..., object],  # noqa: A002 - the interface's name
        *args: object,
        **kwargs: object,
    ) -> IDelayedCall:
        """
        See L{IReactorTime}; of a stopped process the call is made when it goes on.
        """
        return self.ground.clock.callLater(delay, self._due, callable, args, kwargs)

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        """
        See L{IReactorTime}; nobody asks.
        """
        return ()

    def _due(
        self, call: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]
    ) -> None:
        if self.frozen:
            self._overdue.append((call, args, kwargs))
        elif self.alive:
            call(*args, **kwargs)

    # -- signals -----------------------------------------------------------------------------------

    def now(self) -> Now:
        """
        The clocks of its machine.
        """
        return self.machine.now()

    def note(self, what: str, *detail: object) -> None:
        """
        Write history.
        """
        self.ground.history.note(self.name, what, *detail)

    def freeze(self) -> None:
        """
        SIGSTOP.
        """
        if self.alive and not self.frozen:
            self.note("FROZEN")
            self.frozen = True

    def thaw(self) -> None:
        """
        SIGCONT: timers that are overdue run first, then what lies in the buffers is read.
        """
        if not self.frozen:
            return
        self.note("THAWED")
        self.frozen = False
        while self._overdue and not self.frozen:
            call, args, kwargs = self._overdue.popleft()
            if self.alive:
                call(*args, **kwargs)
        readable = list(self.unread)
        self.ground.rng.shuffle(readable)
        for source in readable:
            while self.alive and not self.frozen:
                if not source.read_next():
                    self.unread.pop(source, None)
                    break

    def die(self) -> None:
        """
        SIGKILL, or a reboot.
        """
        self.note("DEAD")
        self.alive = False
        self.frozen = False
        self._overdue.clear()
        self.unread.clear()


class Sleep:
    """
    The one timer of a shell: it wakes when the core said that it wants to be woken.
    """

    __slots__ = ("_call", "_count", "_second")

    def __init__(self) -> None:
        """
        Nobody wants to be woken.
        """
        self._call: IDelayedCall | None = None
        self._second = 0
        self._count = 0

    def until(self, process: Process, seconds: float, wake: Callable[[], object]) -> None:
        """
        Wake in so many seconds, unless that is seen to already.
        """
        now = process.seconds()
        at = now + max(_BLINK, seconds)
        call = self._call
        if call is not None and call.active():
            if call.getTime() <= at:
                return
            call.cancel()
        self._call = process.callLater(at - now, self._woken, process, wake)

    def _woken(self, process: Process, wake: Callable[[], object]) -> None:
        self._call = None
        second = int(process.seconds())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        if self._count > _BUSY:
            raise BrokenPromiseError("wake", f"{process.name} never sleeps")
        wake()
