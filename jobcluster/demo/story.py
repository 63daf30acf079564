"""
What happens in the demonstration, from the start of the daemons to their end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, TypeVar

from twisted.internet import error
from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.defer import TimeoutError as TwistedTimeoutError
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.task import deferLater

from jobcluster.demo.console import Console
from jobcluster.demo.daemons import Daemon, DemoFailedError, kill, reserve_ports
from jobcluster.demo.screen import Picture, Screen, read_nodes

__all__ = ["tell"]

_T = TypeVar("_T")

_HOST: Final = "127.0.0.1"
_NODES: Final = ("alpha", "beta", "gamma")
_SLOTS: Final = 2

_TYPED_AT: Final = "alpha"
"""The node whose console takes all jobs."""

_VICTIM: Final = "beta"
"""The node that is killed."""

_SLEEPS: Final = tuple(250 + 377 * number % 1500 for number in range(48))
"""Milliseconds: some dozens of jobs, the shortest of a quarter of a second."""

_LOOK_EVERY: Final = 0.1
"""Seconds from one look at the cluster to the next."""

_LIMIT: Final = 60.0
"""Seconds after which what is waited for is taken not to come any more, on a busy machine too."""

_STOP_LIMIT: Final = 15.0
"""Seconds in which daemons that are told to stop are to have ended."""


async def tell(reactor: Any, screen: Screen, directory: Path) -> None:  # noqa: ANN401 - see Daemon
    """
    Run the demonstration; whatever becomes of it, no process is left behind.

    @param directory: an empty one, for logs and state.
    @raise DemoFailedError: if something was not as it should be.
    """
    with ExitStack() as stack:
        listen, *consoles = reserve_ports(1 + len(_NODES), stack)
        balancer = Daemon(
            "balancer",
            ["jobbalancer", "--listen", f"tcp:{listen}:interface={_HOST}"],
            directory,
        )
        nodes = {
            name: Daemon(
                name,
                [
                    *("jobnode", "--name", name, "--slots", str(_SLOTS)),
                    *("--balancer", f"tcp:{_HOST}:{listen}"),
                    *("--console", f"tcp:{port}:interface={_HOST}"),
                    *("--state", str(directory / name)),
                ],
                directory,
            )
            for name, port in zip(_NODES, consoles, strict=True)
        }
        story = _Story(reactor, screen, balancer, nodes)
        try:
            await story.run(consoles[_NODES.index(_TYPED_AT)])
        finally:
            kill(story.daemons)
            await gatherResults([daemon.ended() for daemon in story.daemons])


class _Story:
    """
    The demonstration, under way.
    """

    def __init__(
        self,
        reactor: Any,  # noqa: ANN401 - see Daemon
        screen: Screen,
        balancer: Daemon,
        nodes: dict[str, Daemon],
    ) -> None:
        """
        Nothing has been started.
        """
        self._reactor = reactor
        self._screen = screen
        self._nodes = nodes
        self.daemons = [balancer, *nodes.values()]
        self._begun = reactor.seconds()
        self._console = Console()
        self._submitted = 0

    async def run(self, port: int) -> None:
        """
        Start everything, have the jobs run, and look whether all is well.

        @param port: of the console that is typed into.
        """
        self._say(f"starting a balancer and {len(self._nodes)} nodes of {_SLOTS} slots each")
        for daemon in self.daemons:
            daemon.start(self._reactor)
        self._console = await self._connect(port)
        await self._until("all nodes to join", lambda seen: _joined(seen) == set(self._nodes))
        tickets = await self._submit()
        await self._kill_and_restart()
        await self._until("the last result", lambda seen: seen.done == seen.total)
        self._screen.keep()
        await self._examine(tickets)
        await self._stop()

    # -- the steps ---------------------------------------------------------------------------------

    async def _connect(self, port: int) -> Console:
        """Open a session at a console, once its node is up."""
        endpoint = TCP4ClientEndpoint(self._reactor, _HOST, port, timeout=int(_LIMIT))
        end = self._reactor.seconds() + _LIMIT
        while True:
            self._require_running()
            try:
                console: Console = await connectProtocol(endpoint, Console())
            except error.ConnectError:
                if self._reactor.seconds() > end:
                    raise DemoFailedError(f"the console of {_TYPED_AT} does not open") from None
            else:
                return console
            await self._pause()

    async def _submit(self) -> list[str]:
        """Type all jobs at once, and collect the tickets."""
        answers = await self._in_time(
            gatherResults([self._console.ask(str(sleep)) for sleep in _SLEEPS], consumeErrors=True)
        )
        tickets = []
        for answer in answers:
            matched = re.fullmatch(r"Ticket ID: (\S+)", answer)
            if matched is None:
                raise DemoFailedError(f"a job was answered with {answer!r}")
            tickets.append(matched[1])
        if len(set(tickets)) != len(tickets):
            raise DemoFailedError("two jobs have the same ticket")
        self._submitted = len(tickets)
        self._say(
            f"typed {len(tickets)} sleeps of {min(_SLEEPS)} to {max(_SLEEPS)} ms into the console"
            f" of {_TYPED_AT}; the first ticket is {tickets[0]}"
        )
        return tickets

    async def _kill_and_restart(self) -> None:
        """Kill a node while it is busy, and start it again at once."""
        victim = self._nodes[_VICTIM]

        def in_the_middle(seen: Picture) -> bool:
            node = seen.node(_VICTIM)
            return seen.done * 3 >= seen.total and node is not None and node.running == _SLOTS

        seen = await self._until(f"a third of the jobs, with {_VICTIM} busy", in_the_middle)
        victim.signal("KILL")
        await self._in_time(victim.ended())
        self._say(
            f"killed {_VICTIM} with kill -9 after {seen.done} of {seen.total} jobs, while it ran"
            f" {_SLOTS}; starting it again"
        )
        await self._until(
            f"the balancer to miss {_VICTIM}", lambda seen: _VICTIM not in _joined(seen)
        )
        victim.start(self._reactor)
        seen = await self._until(f"{_VICTIM} to join again", lambda seen: _VICTIM in _joined(seen))
        self._say(f"{_VICTIM} has joined again; {seen.total - seen.done} jobs are to end yet")

    async def _examine(self, tickets: Sequence[str]) -> None:
        """Look whether every ticket has its result, and show the figures of the balance."""
        wanted = [f"Result: slept {sleep} ms" for sleep in _SLEEPS]
        results = await self._ask_each("result", tickets)
        wrong = [
            f"{ticket}: {result}"
            for ticket, expected, result in zip(tickets, wanted, results, strict=True)
            if result != expected
        ]
        if wrong:
            raise DemoFailedError("\n    ".join(["these tickets have a wrong result:", *wrong]))
        statuses = await self._ask_each("status", tickets)
        again = sum(not status.endswith("attempts 1") for status in statuses)
        self._say(
            f"{len(tickets)} tickets, {len(results)} results, each as it should be; {again} of them"
            " took more than one attempt"
        )
        *_, balance = await self._nodes_table()
        self._say(balance)

    async def _stop(self) -> None:
        """Stop everything in order, the balancer last."""
        self._require_running()
        balancer, *nodes = self.daemons
        for daemons in (nodes, [balancer]):
            for daemon in daemons:
                daemon.signal("TERM")
            ended = gatherResults([daemon.ended() for daemon in daemons], consumeErrors=True)
            try:
                await ended.addTimeout(_STOP_LIMIT, self._reactor)
            except (TwistedTimeoutError, FirstError):
                raise DemoFailedError(
                    f"not every daemon has ended within {_STOP_LIMIT:g} s of a SIGTERM"
                ) from None
        self._say("all daemons were stopped, in order")

    # -- asking ------------------------------------------------------------------------------------

    async def _ask_each(self, verb: str, tickets: Sequence[str]) -> list[str]:
        asked = [self._console.ask(f"{verb} {ticket}") for ticket in tickets]
        return await self._in_time(gatherResults(asked, consumeErrors=True))

    async def _nodes_table(self) -> list[str]:
        answer = self._console.ask_long("nodes", lambda line: line.startswith("Balance"))
        return await self._in_time(answer)

    async def _look(self) -> Picture:
        """Look how far everything is."""
        opened = await self._in_time(
            self._console.ask_long("list", lambda line: line.startswith("Jobs:"))
        )
        nodes = read_nodes(await self._nodes_table())
        unfinished = len(opened) - 1  # a line each, and their number
        seconds = self._reactor.seconds() - self._begun
        return Picture(seconds, self._submitted - unfinished, self._submitted, nodes)

    async def _until(self, what: str, is_so: Callable[[Picture], bool]) -> Picture:
        """Look again and again, and show it, until something is so."""
        end = self._reactor.seconds() + _LIMIT
        while True:
            self._require_running()
            seen = await self._look()
            if self._submitted:
                self._screen.show(seen)
            if is_so(seen):
                return seen
            if self._reactor.seconds() > end:
                raise DemoFailedError(f"waited {_LIMIT:g} s for {what}")
            await self._pause()

    async def _in_time(self, answer: Deferred[_T]) -> _T:
        """What is answered, if it is answered in time."""
        try:
            return await answer.addTimeout(_LIMIT, self._reactor)
        except TwistedTimeoutError:
            raise DemoFailedError(f"an answer did not come within {_LIMIT:g} s") from None
        except (error.ConnectionLost, FirstError) as lost:
            self._require_running()
            raise DemoFailedError(f"the console of {_TYPED_AT} gave no answer: {lost}") from None

    async def _pause(self) -> None:
        await deferLater(self._reactor, _LOOK_EVERY)

    def _require_running(self) -> None:
        for daemon in self.daemons:
            daemon.require_well()

    def _say(self, text: str) -> None:
        self._screen.say(f"{self._reactor.seconds() - self._begun:7.1f} s  {text}")


def _joined(seen: Picture) -> set[str]:
    """The nodes that are in the cluster."""
    return {node.name for node in seen.nodes if node.state == "joined"}
