"""
The seams of the program, as interfaces: what a store is, what runs jobs, what a console sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from jobcluster.core.actions import Run
from jobcluster.core.events import RunnerEvent
from jobcluster.core.records import Change, Identity, Recovered
from jobcluster.core.values import Adopted, Job, Keyed, Offer, Ref, Spec
from jobcluster.core.views import ClusterView, Filter, JobView, Piece
from jobcluster.errors import JobclusterError

__all__ = [
    "IClusterView",
    "IOutputs",
    "IRunner",
    "IStore",
]


class IStore(Interface):
    """
    What a node remembers.

    Every Deferred fails with a L{jobcluster.errors.StoreError} and nothing else.
    """

    def open(
        name: str, boot: str, fresh_store: str, random: int, first_job: int
    ) -> Deferred[tuple[Identity, Recovered]]:
        """
        Open the store, count its incarnation up and commit that; to be called again to rebuild.

        After a failed commit it first makes sure, by a checkpoint that succeeds, that what it reads
        is on the disk.

        @param name: the name to take if the store does not remember one.
        @param boot: the id of the machine's boot, for the L{Identity}.
        @param fresh_store: the store id to take if this store is new.
        @param random: what this incarnation is told from its clones by.
        @param first_job: the greatest job id that a new store claims to have given out.
        """

    def commit(changes: Sequence[Change]) -> Deferred[None]:
        """
        Commit these changes, all or none, durably; later calls are committed later.

        Fires with C{None} once they are on the disk.
        Fails with L{jobcluster.errors.StoreFailedError} if nobody knows whether they are, or with
        L{jobcluster.errors.StateGoneError}; so does every later call until L{open} was called.
        """

    def load(jobs: Sequence[int]) -> Deferred[tuple[Job, ...]]:
        """
        Fires with those of C{jobs} that are unfinished, with their attempts.
        """

    def page(requires: str, after: tuple[int, int], limit: int) -> Deferred[tuple[Job, ...]]:
        """
        Fires with waiting jobs (not cancelling, bound or ended) of these requirements, greater
        priority first and then smaller id, those after C{(priority, id)}.
        """

    def payload(job: int, offset: int, limit: int) -> Deferred[bytes]:
        """
        Fires with a piece of what an unfinished job is to run; it is shorter than C{limit} bytes at
        the end only, and empty if there is no such job.
        """

    def view(job: int) -> Deferred[JobView | None]:
        """
        Fires with one job as a client sees it, or with C{None} if it was never here.
        """

    def keys(wanted: Sequence[str]) -> Deferred[tuple[Keyed, ...]]:
        """
        Fires with those keys that jobs have, expired ones included, in any order.
        """

    def views(wanted: Filter, after: int, limit: int) -> Deferred[tuple[JobView, ...]]:
        """
        Fires with jobs in the order of their ids, those after C{after}.

        @param wanted: of the states of unfinished jobs it may name C{"open"} alone; an expired job
            has neither name nor tags.
        """

    def expire(before: int, limit: int) -> Deferred[int]:
        """
        Reduce outcomes from before that time (milliseconds since the epoch) to tombstones, and
        forget tombstones whose jobs ended twice as long ago as that, and their keys with them; at
        most C{limit} of each.

        Fires with how many were reduced or forgotten.
        """

    def free() -> int:
        """
        Bytes that are free on the store's file system; very many if it has none.
        """

    def close() -> Deferred[None]:
        """
        End the store; fires when its threads have ended and its files are closed and unlocked.
        """


class IOutputs(Interface):
    """
    Output that is too long for a store: of jobs of this node, beside the store.

    Every Deferred fails with L{jobcluster.errors.OutputNotKeptError} where the disk cannot take it,
    with L{jobcluster.errors.OutputMissingError} where there is none, and with nothing else.
    """

    def write(job: int, offer: Offer, stream: str, offset: int, data: bytes) -> Deferred[None]:
        """
        Write a piece of what an offer of a job has put out, after the piece before it; with
        C{offset} 0 it begins anew.  The piece before it is missing if it was kept or discarded.

        @param stream: C{"out"} or C{"err"}.
        """

    def keep(job: int, offer: Offer) -> Deferred[None]:
        """
        Make what was written of this offer the output of its job; fires when it is on the disk.
        """

    def discard(job: int, offer: Offer) -> Deferred[None]:
        """
        Forget what was written of this offer and is not kept.
        """

    def tidy() -> Deferred[int]:
        """
        Forget what an earlier process has written and not kept; fires with how many streams.
        """

    def read(job: int, stream: str, offset: int, limit: int) -> Deferred[bytes]:
        """
        Fires with a piece of a job's output, shorter than C{limit} bytes at the end only.
        """

    def forget(before: int) -> Deferred[int]:
        """
        Forget what was written before that time (milliseconds since the epoch).

        Fires with how many streams that were.
        """


class IRunner(Interface):
    """
    What runs jobs at a node.

    It tells what happens by calling C{told} with the events L{jobcluster.core.events.RunsStarted},
    C{RunsRefused}, C{RunsEnded}, C{RunsDropped} and C{KeeperReplaced}, at once or later.
    """

    told: Callable[[RunnerEvent], None] = Attribute("set by the node before anything is started")

    def inventory() -> Deferred[tuple[str, tuple[Adopted, ...]]]:
        """
        Fires with the id of the process that runs the jobs (empty if it is this one) and all that
        it still holds from before this process was started.

        Fails with a L{jobcluster.errors.KeeperError} if no such process can be had.
        """

    def start(runs: Sequence[Run]) -> None:
        """
        Start these, each unless the lease is over by then.

        What C{adopted} says was started before is only watched on, and told when it ends.
        """

    def stop(refs: Sequence[Ref]) -> None:
        """
        End these as cancelled.
        """

    def drop(refs: Sequence[Ref]) -> None:
        """
        End these and forget them.
        """

    def lease(until: float) -> None:
        """
        Start nothing later than this, in seconds of the boot-time clock.
        """

    def output(ref: Ref, stream: str, offset: int, limit: int) -> bytes:
        """
        Read some of the output of what has ended and was not dropped, where its outcome does not
        have it; may block for as long as that takes.

        @param stream: C{"out"} or C{"err"}.
        @param offset: where to begin, in bytes.
        @param limit: how many bytes at most; fewer come at the end alone.
        @raise OutputMissingError: if it is not kept.
        """

    def live(ref: Ref, stream: str, offset: int, limit: int) -> bytes:
        """
        Read some of the output of what runs, or has ended and was not dropped, as far as it is
        there now; may block for as long as that takes.  What was read once never changes.

        @param stream: C{"out"} or C{"err"}.
        @param offset: where to begin, in bytes.
        @param limit: how many bytes at most; none come where there is no more yet.
        @raise OutputMissingError: if it is not known here, or not before it is recorded.
        """

    def finish() -> Deferred[None]:
        """
        End everything, and what would outlive this process too; nothing is started any more.

        Fires when nothing is left, or nothing more can be done about it; L{close} is still to be
        called.
        """

    def close() -> None:
        """
        End what ends with this process; nothing is told any more.
        """


class IClusterView(Interface):
    """
    What a console needs of a node: everything a client may ask.

    Every Deferred fails with a L{jobcluster.errors.JobclusterError} and nothing else.
    """

    name: str = Attribute("the node's name; empty as long as its store is not open")
    store: str = Attribute("the id of its store; empty as long as that is not open")
    is_open: bool = Attribute("whether it can be asked about its jobs; otherwise it will be, soon")

    def submit(specs: Sequence[Spec]) -> Deferred[tuple[str | JobclusterError, ...]]:
        """
        Fires, once the jobs are on the disk, with their tickets in the same order.

        In the place of the ticket of a job that is not taken is the reason: an error of whoever
        described it, such as L{jobcluster.errors.KeyTakenError}; or that there is no room for it,
        where there are tickets for others.

        A key that this node knows, or that a job before it has, gives the ticket of that job, for
        as long as that ticket is known.  Where all of it fails nobody knows which of them exist;
        those that have a key may be submitted again to the same node to learn that.
        """

    def view(ticket: str) -> Deferred[JobView]:
        """
        Fires with the job of a ticket of any node of the cluster.

        Fails with L{jobcluster.errors.MalformedTicketError},
        L{jobcluster.errors.UnknownTicketError}, L{jobcluster.errors.NodeAwayError} or
        L{jobcluster.errors.BalancerAwayError}.
        """

    def wait(ticket: str) -> Deferred[JobView]:
        """
        Fires with the job of a ticket once it has an outcome; may be cancelled.

        Fails as L{view} does.
        """

    def cancel(ticket: str) -> Deferred[str]:
        """
        Fires, once the wish is on the disk, with C{"cancelled"} (it will never run),
        C{"cancelling"} (it may be running: its own end decides) or C{"ended"} (too late).

        Fails as L{view} does.
        """

    def output(ticket: str, stream: str, offset: int, limit: int) -> Deferred[bytes]:
        """
        Fires with a piece of the recorded output of a job, shorter than C{limit} at its end only.

        The sizes are in the outcome of the job's view.

        @param stream: C{"out"} or C{"err"}.
        @param offset: where the piece begins, in bytes.
        @param limit: how long it is at most, in bytes; no more than 256 KiB are given.

        Fails as L{view} does, or with L{jobcluster.errors.OutputMissingError}.
        """

    def live(
        ticket: str, stream: str, offset: int, limit: int, patience: float, attempt: int = 0
    ) -> Deferred[Piece]:
        """
        Fires with what a job has put out by now, from an offset on; where there is nothing yet, but
        may be, once there is or the patience is over.  May be cancelled.

        No byte changes once it was given, until another attempt is begun: whose bytes they are is
        said.  Without data it may be that nothing has come, that the stream is over, or that it is
        not C{attempt} any more that runs: then what the other one puts out begins at offset 0.

        @param stream: C{"out"} or C{"err"}.
        @param offset: where the piece begins, in bytes.
        @param limit: how long it is at most, in bytes; no more than 256 KiB are given.
        @param patience: seconds, 5 at most.
        @param attempt: the number of the one that is followed; 0 for whichever it is.

        Fails as L{view} does, but where somebody is away only when the patience is over, so that
        the moment in which a node is started again ends nothing.
        """

    def jobs(wanted: Filter, after: int, limit: int) -> Deferred[tuple[JobView, ...]]:
        """
        Fires with jobs of this node in the order of their submission, those after the id C{after}.
        """

    def cluster() -> Deferred[ClusterView]:
        """
        Fires with the cluster as the balancer sees it.

        Fails with L{jobcluster.errors.BalancerAwayError}.
        """

    def joined() -> str:
        """
        Empty while this node is joined; otherwise one line that says why it is not.
        """
