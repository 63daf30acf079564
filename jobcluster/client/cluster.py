"""
A cluster, for programs that block.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from concurrent.futures import wait as wait_for
from functools import partial
from typing import Any, Final, TypeVar

import attrs
from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure

from jobcluster.client.calls import function_of
from jobcluster.client.describing import (
    Word,
    check_types,
    command_of,
    limit_of,
    texts_of,
    variables_of,
)
from jobcluster.client.finding import find_places
from jobcluster.client.futures import JobFuture
from jobcluster.client.link import PATIENCE
from jobcluster.client.remote import RemoteNode
from jobcluster.client.results import CommandResult
from jobcluster.client.thread import ReactorThread
from jobcluster.core.commands import COMMAND, pack_command
from jobcluster.core.description import join_tags
from jobcluster.core.functions import FUNCTION, pack_function
from jobcluster.core.payloads import check_job
from jobcluster.core.values import SLEEP, OnNodeLoss, Spec
from jobcluster.core.views import ClusterView, JobView
from jobcluster.errors import JobclusterError

__all__ = ["Cluster"]

T = TypeVar("T")

_PIECE: Final = 256 * 1024
"""Bytes of output that are fetched at once."""


class Cluster(Executor):
    """
    A cluster, by way of one of its nodes; an executor as those of L{concurrent.futures} are.

    What is handed in is on that node's disk before its ticket is known.
    A node that is restarted costs a pause: what was handed in is waited for again.
    """

    def __init__(self, connect: str = "", *, patience: float = PATIENCE) -> None:
        """
        Connect.

        @param connect: an endpoint such as C{tcp:127.0.0.1:9001}, C{HOST:PORT}, or the path of a
            socket; by default what C{JOBCLUSTER_CONNECT} says, or else a node of this machine.
        @param patience: seconds for which a node that was there is waited for.
        @raise NodeUnreachableError: if no node answers there.
        @raise UserError: if C{connect} is no place.
        """
        self._thread = ReactorThread.shared()
        reactor = self._thread.reactor
        self._node = RemoteNode(reactor, find_places(reactor, connect, os.environ), patience)
        self._open: set[JobFuture[Any]] = set()
        self._lock = threading.Lock()
        self._is_shut = False
        self.ask(lambda node: node.connect())
        _clusters.add(self)
        # One that nobody has any more needs no connection; what waits for jobs has it.
        weakref.finalize(self, _close, self._thread, self._node).atexit = False

    @property
    def name(self) -> str:
        """The name of the node that it is connected to."""
        return self._node.name

    @property
    def is_here(self) -> bool:
        """Whether this process made it, and was not forked from the one that did."""
        return self._thread.pid == os.getpid()

    # -- jobs --------------------------------------------------------------------------------------

    def submit(self, fn: Callable[..., T] | str, /, *args: Any, **kwargs: Any) -> JobFuture[T]:  # noqa: ANN401
        """
        Have a function called, wherever there is a slot; see L{call}.
        """
        return self.call(fn, args, kwargs)

    def call(  # noqa: PLR0913 - what can be said of a function
        self,
        fn: Callable[..., T] | str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        timeout: float = 0.0,
        name: str = "",
        tags: Sequence[str] = (),
        key: str = "",
        priority: int = 0,
        require: Sequence[str] = (),
        on_node_loss: str = OnNodeLoss.AGAIN,
    ) -> JobFuture[T]:
        """
        Have a function called, wherever there is a slot.

        What can be imported is sent by its name, and is imported there from what is installed, from
        C{cwd} or from PYTHONPATH in C{env}; its arguments and its result are JSON.
        Everything else is sent as a pickle, to nodes that were started with C{--allow-pickle}.

        @param fn: or C{"module:name"}, which goes by its name in any case.
        @param timeout: seconds that a call may take; 0 for any time.
        @return: a future of what it returns; where it raises, L{jobcluster.errors.JobFailedError}
            is raised, and for a pickle what it has raised itself.
        @raise UserError: if it cannot be sent, or makes no sense.

        The rest is as for L{command}.
        """
        function = function_of(fn, args, kwargs or {})._replace(
            environment=variables_of(env),
            directory=None if cwd is None else os.fsencode(cwd),
            limit=limit_of(timeout),
        )
        return self.submit_spec(
            Spec(
                FUNCTION,
                pack_function(function),
                priority,
                join_tags(texts_of("require", require)),
                on_node_loss=on_node_loss,
                key=key,
                name=name,
                tags=texts_of("tags", tags),
            ),
            allow_pickle=function.pickled,
        )

    def command(  # noqa: PLR0913 - what can be said of a command
        self,
        argv: Sequence[Word],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        stdin: bytes | str = b"",
        timeout: float = 0.0,
        name: str = "",
        tags: Sequence[str] = (),
        key: str = "",
        priority: int = 0,
        require: Sequence[str] = (),
        on_node_loss: str = OnNodeLoss.AGAIN,
    ) -> JobFuture[CommandResult]:
        """
        Have a program run, wherever there is a slot.

        @param argv: the program and its arguments; no shell is involved.
        @param env: variables beside PATH, HOME, LANG and TZ of the node that runs it.
        @param cwd: an absolute path on that node; by default a fresh directory that is removed
            afterwards.
        @param stdin: its standard input.
        @param timeout: seconds that it may take; 0 for any time.
        @param name: what to call it.
        @param tags: to find it by.
        @param key: the same key at the same node is the same job, also for another program.
        @param priority: the greater goes first.
        @param require: labels that the node must have which runs it.
        @param on_node_loss: C{"again"}, or C{"fail"} to have it run at most once.
        @return: a future of a L{CommandResult}; one that failed raises a
            L{jobcluster.errors.JobFailedError}, whose C{result} has its exit code and output.
        @raise UserError: if it makes no sense.
        """
        command = command_of(argv, env, cwd, stdin, timeout)
        return self.submit_spec(
            Spec(
                COMMAND,
                pack_command(command),
                priority,
                join_tags(texts_of("require", require)),
                on_node_loss=on_node_loss,
                key=key,
                name=name,
                tags=texts_of("tags", tags),
            )
        )

    def sleep(self, milliseconds: int) -> JobFuture[str]:
        """
        Have a slot do nothing for so many milliseconds.

        @raise UserError: if that is too many.
        """
        return self.submit_spec(Spec(SLEEP, b"%d" % milliseconds))

    def job(self, ticket: str, *, allow_pickle: bool = False) -> JobFuture[Any]:
        """
        Wait for a job that was handed in before, by whomever.

        @param allow_pickle: whether a result that is a pickle may be opened, which can run any code
            that whoever handed it in has chosen.
        @return: a future of what its kind results in.
        """
        future = self._make_future(allow_pickle=allow_pickle)
        future.acknowledge(ticket)
        self._thread.post(lambda: self._watch(future, self._node.wait(ticket)))
        return future

    def status(self, ticket: str) -> JobView:
        """
        How far a job is.

        @raise JobclusterError: if it cannot be shown; the error says why.
        """
        return self.ask(lambda node: node.view(ticket))

    def cancel(self, ticket: str) -> str:
        """
        Wish a job cancelled; returns C{"cancelled"}, C{"cancelling"} (its own end decides) or
        C{"ended"} (too late).

        @raise JobclusterError: if it cannot be wished; the error says why.
        """
        return self.ask(lambda node: node.cancel(ticket))

    def nodes(self) -> ClusterView:
        """
        The cluster as the balancer sees it.

        @raise JobclusterError: if it cannot be asked.
        """
        return self.ask(lambda node: node.cluster())

    def ask(self, question: Callable[[RemoteNode], Deferred[T]], timeout: float | None = None) -> T:
        """
        Ask the node what the interface of all consoles has no method for here, and wait for it.

        @param question: called in another thread; what its Deferred fires with is returned.
        @param timeout: seconds after which a C{TimeoutError} is raised.
        """
        return self._thread.call(lambda: question(self._node), timeout)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature of an Executor
        """
        Hand in nothing more, and end the connection once everything has ended.

        The jobs themselves go on in any case, unless they are to be cancelled.

        @param wait: whether to wait for that here; otherwise the connection is ended at once, and
            whoever waits for a result is told so.
        @param cancel_futures: whether what has not ended is cancelled.
        """
        with self._lock:
            self._is_shut = True
            left = set(self._open)
        try:
            if cancel_futures:
                self._cancel_all(left)
            if wait:
                wait_for(left)
        finally:
            self._thread.post(self._node.close)

    def flush(self, timeout: float = PATIENCE) -> int:
        """
        Wait until everything that was handed in is on the disk of its node.

        @param timeout: seconds to wait at most.
        @return: of how many jobs nobody knows that by then.
        """
        until = time.monotonic() + timeout
        with self._lock:
            left = set(self._open)
        return sum(
            not future.wait_acknowledged(max(0.0, until - time.monotonic())) for future in left
        )

    def _cancel_all(self, futures: set[JobFuture[Any]]) -> None:
        known = {
            future.ticket: future
            for future in futures
            if future.wait_acknowledged(PATIENCE) and future.has_ticket
        }
        became = self.ask(
            lambda node: DeferredList([node.cancel(ticket) for ticket in known], consumeErrors=True)
        )
        for future, (is_answered, answer) in zip(known.values(), became, strict=True):
            if is_answered and answer != "ended":
                future.settle_cancelled()

    # -- futures -----------------------------------------------------------------------------------

    def _make_future(self, *, allow_pickle: bool) -> JobFuture[Any]:
        future: JobFuture[Any] = JobFuture(self.cancel, self.read, allow_pickle=allow_pickle)
        with self._lock:
            if self._is_shut:
                raise RuntimeError("cannot hand in jobs after shutdown")
            self._open.add(future)
        return future

    def _forget(self, future: JobFuture[Any]) -> None:
        with self._lock:
            self._open.discard(future)

    def submit_spec(self, spec: Spec, *, allow_pickle: bool = False) -> JobFuture[Any]:
        """
        Hand in a job, however it was described.

        @param allow_pickle: whether a result that is a pickle may be opened.
        @raise UserError: if it makes no sense.
        """
        check_types(spec)
        check_job(spec)
        if not spec.key:
            # Whatever becomes of the connection, it is submitted once.
            spec = attrs.evolve(spec, key=uuid.uuid4().hex)
        future = self._make_future(allow_pickle=allow_pickle)
        self._thread.post(partial(self._run, future, spec))
        return future

    def _run(self, future: JobFuture[Any], spec: Spec) -> None:
        ticket, ended = self._node.run(spec)
        # Both fail together.
        ticket.addCallbacks(future.acknowledge, lambda _: None)
        self._watch(future, ended)

    def _watch(self, future: JobFuture[Any], ended: Deferred[JobView]) -> None:
        def fail(failure: Failure) -> None:
            future.fail(failure.value or JobclusterError())

        ended.addCallbacks(future.settle, fail)
        ended.addBoth(lambda _: self._forget(future))

    def read(self, ticket: str, stream: str, size: int) -> bytes:
        """
        Fetch all that a job that has ended has put out in one stream.

        @param stream: C{"out"} or C{"err"}.
        @param size: how many bytes that are.
        @raise JobclusterError: if it cannot be had.
        """
        pieces = []
        offset = 0
        while offset < size:
            read = partial(self._fetch, ticket, stream, offset)
            piece = self.ask(read)
            if not piece:
                break
            pieces.append(piece)
            offset += len(piece)
        return b"".join(pieces)

    @staticmethod
    def _fetch(ticket: str, stream: str, offset: int, node: RemoteNode) -> Deferred[bytes]:
        return node.output(ticket, stream, offset, _PIECE)


_clusters: weakref.WeakSet[Cluster] = weakref.WeakSet()
"""Those of this process."""


def _close(thread: ReactorThread, node: RemoteNode) -> None:
    if thread.pid == os.getpid():
        thread.post(node.close)


@atexit.register
def _flush_all() -> None:
    """What was handed in is handed in, though the program ends without a shutdown."""
    left = sum(cluster.flush() for cluster in list(_clusters) if cluster.is_here)
    if left:
        sys.stderr.write(f"jobcluster: nobody knows whether {left} jobs were handed in\n")
