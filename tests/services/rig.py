"""
A node without a cluster, on a disk and with a runner that do what they are told.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from jobcluster.core.actions import Run
from jobcluster.core.events import RunEnded, RunnerEvent, RunsEnded
from jobcluster.core.node import NodeSettings
from jobcluster.core.records import Change, Identity, Recovered
from jobcluster.core.values import SLEEP, Adopted, Job, Keyed, Now, Outcome, Ref, Spec, Status
from jobcluster.core.views import JobView
from jobcluster.errors import OutputMissingError
from jobcluster.interfaces import IRunner
from jobcluster.services.balancer_link import BalancerLink
from jobcluster.services.clients import ClusterClient
from jobcluster.services.node import NodeService, Parts, Setup
from jobcluster.store.memory import MemoryStore, Tables, at_once
from jobcluster.store.outputs import MemoryOutputs
from jobcluster.testing.clocks import HeapClock
from jobcluster.testing.clusters import all_taken

_Result = TypeVar("_Result")

BOOTED = 500.0
EPOCH = 1_764_000_000.0


def clocks_of(clock: HeapClock) -> Callable[[], Now]:
    """
    The clocks of a machine whose reactor has this one.
    """
    return lambda: Now(clock.seconds(), BOOTED + clock.seconds(), EPOCH + clock.seconds())


def sleep(milliseconds: int, priority: int = 0) -> Spec:
    """
    A sleep, for a client to hand in.
    """
    return Spec(SLEEP, b"%d" % milliseconds, priority)


class ScriptedDisk:
    """
    A disk on which writes wait until they are told what becomes of them.
    """

    def __init__(self) -> None:
        """
        A disk that writes at once.
        """
        self.hold = False
        """Whether writes wait from now on."""
        self.held: list[tuple[Callable[[], None], Deferred[None]]] = []

    def __call__(self, write: Callable[[], None]) -> Deferred[None]:
        """
        Write, as L{MemoryStore} wants it.
        """
        if not self.hold:
            return at_once(write)
        done: Deferred[None] = Deferred()
        self.held.append((write, done))
        return done

    def write(self) -> None:
        """
        What waits is written.
        """
        held, self.held = self.held, []
        for write, done in held:
            write()
            done.callback(None)

    def fail(self, error: Exception, *, written: bool = False) -> None:
        """
        The first write that waits fails, and the others are lost.

        @param written: whether it is on the disk all the same.
        """
        (write, done), *lost = self.held
        self.held = []
        if written:
            write()
        done.errback(error)
        for _, other in lost:
            other.errback(error)


class ScriptedStore(MemoryStore):
    """
    A store that writes down what it is asked, and does it when it is told to.
    """

    def __init__(self, tables: Tables, disk: ScriptedDisk, told: list[Any]) -> None:
        """
        Be a store on that disk.
        """
        super().__init__(tables, disk, lambda: EPOCH)
        self._told = told
        self.openings: list[Exception | Deferred[None]] = []
        """What becomes of the next calls of L{open}, if they do not just succeed."""
        self.reading: Deferred[None] | None = None
        """What the next read for the core waits for."""
        self.viewed: list[int] = []
        """The jobs that were viewed."""
        self.viewing: Deferred[None] | None = None
        """What the next view waits for."""
        self.expiring: list[Exception | int] = []
        """What becomes of the next calls of L{expire}, if they do not just succeed."""
        self.bytes_free = sys.maxsize
        self.closing: Deferred[None] | None = None
        """What L{close} waits for."""

    def open(
        self, name: str, boot: str, fresh_store: str, random: int, first_job: int
    ) -> Deferred[tuple[Identity, Recovered]]:
        """See L{jobcluster.interfaces.IStore.open}."""
        self._told.append(("open", name, boot, fresh_store, random, first_job))
        opening = self.openings.pop(0) if self.openings else succeed(None)
        if isinstance(opening, Exception):
            return fail(opening)
        really = super().open
        return opening.addCallback(lambda _: really(name, boot, fresh_store, random, first_job))

    def commit(self, changes: Sequence[Change]) -> Deferred[None]:
        """See L{jobcluster.interfaces.IStore.commit}; one of nothing only looks at the disk."""
        self._told.append(("commit", *(type(change).__name__ for change in changes)))
        return super().commit(changes)

    def load(self, jobs: Sequence[int]) -> Deferred[tuple[Job, ...]]:
        """See L{jobcluster.interfaces.IStore.load}."""
        return self._later(super().load(jobs))

    def page(self, requires: str, after: tuple[int, int], limit: int) -> Deferred[tuple[Job, ...]]:
        """See L{jobcluster.interfaces.IStore.page}."""
        return self._later(super().page(requires, after, limit))

    def keys(self, wanted: Sequence[str]) -> Deferred[tuple[Keyed, ...]]:
        """See L{jobcluster.interfaces.IStore.keys}."""
        self._told.append(("keys", *wanted))
        return self._later(super().keys(wanted))

    def view(self, job: int) -> Deferred[JobView | None]:
        """See L{jobcluster.interfaces.IStore.view}."""
        self.viewed.append(job)
        viewing, self.viewing = self.viewing, None
        view = super().view(job)
        return view if viewing is None else viewing.addCallback(lambda _: view)

    def _later(self, result: Deferred[_Result]) -> Deferred[_Result]:
        reading, self.reading = self.reading, None
        return result if reading is None else reading.addCallback(lambda _: result)

    def expire(self, before: int, limit: int) -> Deferred[int]:
        """See L{jobcluster.interfaces.IStore.expire}."""
        self._told.append(("expire", before))
        expiring = self.expiring.pop(0) if self.expiring else 0
        return succeed(expiring) if isinstance(expiring, int) else fail(expiring)

    def free(self) -> int:
        """See L{jobcluster.interfaces.IStore.free}."""
        return self.bytes_free

    def close(self) -> Deferred[None]:
        """See L{jobcluster.interfaces.IStore.close}."""
        self._told.append("close")
        closing = succeed(None) if self.closing is None else self.closing
        really = super().close
        return closing.addCallback(lambda _: really())


@implementer(IRunner)
class ScriptedRunner:
    """
    A runner that writes down what it is asked, and whose runs end when they are told to.
    """

    told: Callable[[RunnerEvent], None]

    def __init__(self, heard: list[Any]) -> None:
        """
        Nothing runs.
        """
        self._heard = heard
        self.adopted: tuple[Adopted, ...] = ()
        self.found: Deferred[tuple[str, tuple[Adopted, ...]]] | None = None
        """What the inventory waits for."""
        self.ends_what_is_stopped = True

    def inventory(self) -> Deferred[tuple[str, tuple[Adopted, ...]]]:
        """See L{IRunner.inventory}."""
        return succeed(("", self.adopted)) if self.found is None else self.found

    def start(self, runs: Sequence[Run]) -> None:
        """See L{IRunner.start}."""
        self._heard.append(("start", tuple(run.serial for run in runs)))

    def stop(self, refs: Sequence[Ref]) -> None:
        """See L{IRunner.stop}."""
        self._heard.append(("stop", tuple(ref[3] for ref in refs)))
        if self.ends_what_is_stopped:
            outcome = Outcome(Status.CANCELLED)
            self.told(RunsEnded(tuple(RunEnded(ref, outcome) for ref in refs)))

    def drop(self, refs: Sequence[Ref]) -> None:
        """See L{IRunner.drop}."""
        self._heard.append(("drop", tuple(ref[3] for ref in refs)))

    def lease(self, until: float) -> None:
        """See L{IRunner.lease}."""

    def output(self, ref: Ref, stream: str, offset: int, limit: int) -> bytes:
        """See L{IRunner.output}."""
        raise OutputMissingError

    def live(self, ref: Ref, stream: str, offset: int, limit: int) -> bytes:
        """See L{IRunner.live}."""
        raise OutputMissingError

    def finish(self) -> Deferred[None]:
        """See L{IRunner.finish}."""
        self._heard.append("runner finished")
        return succeed(None)

    def close(self) -> None:
        """See L{IRunner.close}."""
        self._heard.append("runner closed")


@implementer(IStreamClientEndpoint)
class ScriptedEndpoint:
    """
    An endpoint whose attempts wait until they are told what becomes of them.
    """

    def __init__(self, clock: HeapClock) -> None:
        """
        Nobody has tried to connect.
        """
        self._clock = clock
        self.attempts: list[Deferred[IProtocol]] = []
        self.factories: list[IProtocolFactory] = []
        self.times: list[float] = []
        """When each attempt was begun."""
        self.refuses: Exception | None = None
        """What attempts fail with at once."""

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See L{IStreamClientEndpoint}."""
        self.times.append(self._clock.seconds())
        attempt: Deferred[IProtocol] = Deferred() if self.refuses is None else fail(self.refuses)
        self.attempts.append(attempt)
        self.factories.append(protocolFactory)
        return attempt

    def build(self, address: IAddress) -> IProtocol:
        """
        The protocol for the last attempt.
        """
        built = self.factories[-1].buildProtocol(address)
        if built is None:
            raise AssertionError("nothing was built")
        return built


class LoneNode:
    """
    A node without a balancer.
    """

    def __init__(self, clock: HeapClock, tables: Tables | None = None, **setup: Any) -> None:  # noqa: ANN401
        """
        A node that has not been started.

        @param tables: what an earlier process of it has left.
        @param setup: what is to be different in its L{Setup}.
        """
        self.clock = clock
        self.told: list[Any] = []
        """What its store and its runners were asked, in order, and what it said when it could not
        go on."""
        self.disk = ScriptedDisk()
        self.tables = Tables() if tables is None else tables
        self.store = ScriptedStore(self.tables, self.disk, self.told)
        self.runners: list[ScriptedRunner] = []
        self.next_runner = ScriptedRunner(self.told)
        self.endpoint = ScriptedEndpoint(clock)
        self.setup = attrs.evolve(
            Setup(
                settings=NodeSettings(slots=2),
                name="a",
                boot="boot",
                fresh_store="store",
                random=lambda: 7,
                first_job=99,
            ),
            **setup,
        )
        clocks = clocks_of(clock)
        self.outputs = MemoryOutputs()
        self.service = NodeService(
            Parts(clock, clocks, self.store, self.outputs, self.setup),
            self.make_runner,
            lambda reason: self.told.append(f"fatal: {reason}"),
        )
        self.client = ClusterClient(self.service, clock)
        self.service.link = BalancerLink(
            self.service.handle, self.client.asked, self.endpoint, clock, clocks
        )

    def make_runner(self) -> IRunner:
        """
        The runner for a new core.
        """
        runner, self.next_runner = self.next_runner, ScriptedRunner(self.told)
        self.runners.append(runner)
        return runner

    def submit(self, specs: Sequence[Spec]) -> Deferred[tuple[int, ...]]:
        """
        Hand jobs to it; fires with their ids, or fails if one is not taken.
        """
        return self.service.submit(specs).addCallback(all_taken)

    def tickets(self, specs: Sequence[Spec]) -> Deferred[tuple[str, ...]]:
        """
        Hand jobs to it as a client does; fires with their tickets, or fails if one is not taken.
        """
        return self.client.submit(specs).addCallback(all_taken)

    @property
    def identity(self) -> Identity:
        """Who it is."""
        if self.service.identity is None:
            raise AssertionError("not open")
        return self.service.identity

    def take(self) -> list[Any]:
        """
        What has happened since this was called last.
        """
        told, self.told[:] = list(self.told), []
        return told
