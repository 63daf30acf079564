"""
What happens in the demonstration, from the start of the daemons to their end.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
from jobcluster.demo.jobs import SLOW, Files, Job, make_jobs
from jobcluster.demo.processes import are_gone, end_all, is_running, with_state_in
from jobcluster.demo.screen import Picture, Screen, read_jobs, read_nodes

__all__ = ["tell"]

_T = TypeVar("_T")

_HOST: Final = "127.0.0.1"
_NODES: Final = ("alpha", "beta", "gamma")
_SLOTS: Final = 2

_TYPED_AT: Final = "alpha"
"""The node whose console takes all jobs."""

_VICTIM: Final = "beta"
"""The node that is killed."""

_GRACE: Final = 10
"""
Seconds in which a node may come back (C{--rejoin-grace}): more than the usual three, for on a busy
machine it may take longer to start one.
"""

_LOOK_EVERY: Final = 0.1
"""Seconds from one look at the cluster to the next."""

_LIMIT: Final = 60.0
"""Seconds after which what is waited for is taken not to come any more, on a busy machine too."""

_STOP_LIMIT: Final = 15.0
"""Seconds in which daemons that are told to stop are to have ended."""


async def tell(reactor: Any, screen: Screen, directory: Path) -> None:  # noqa: ANN401 - see Daemon
    """
    Run the demonstration; whatever becomes of it, no process is left behind.

    @param directory: an empty one, for logs, state, and the files that jobs read.
    @raise DemoFailedError: if something was not as it should be.
    """
    files = Files(directory / "files")
    with ExitStack() as stack:
        listen, *consoles = reserve_ports(1 + len(_NODES), stack)
        balancer = Daemon(
            "balancer",
            [
                *("jobbalancer", "--listen", f"tcp:{listen}:interface={_HOST}"),
                *("--rejoin-grace", str(_GRACE)),
            ],
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
        story = _Story(reactor, screen, balancer, nodes, directory)
        try:
            await story.run(consoles[_NODES.index(_TYPED_AT)], files)
        finally:
            kill(story.daemons)
            await gatherResults([daemon.ended() for daemon in story.daemons])
            # Their keepers outlive them: that is what a keeper is for.
            await end_all(reactor, directory)


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
        directory: Path,
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
        self._directory = directory
        self._tickets: dict[str, Job] = {}

    async def run(self, port: int, files: Files) -> None:
        """
        Start everything, have the jobs run, and look whether all is well.

        @param port: of the console that is typed into.
        @param files: whose checksums are made.
        """
        self._say(f"starting a balancer and {len(self._nodes)} nodes of {_SLOTS} slots each")
        for daemon in self.daemons:
            daemon.start(self._reactor)
        self._console = await self._connect(port)
        await self._until("all nodes to join", lambda seen: _joined(seen) == set(self._nodes))
        await self._submit(make_jobs(files))
        await self._kill_and_restart(files)
        await self._until("the last result", lambda seen: seen.done == seen.total)
        self._screen.keep()
        await self._examine_results()
        await self._examine_outputs()
        await self._examine_starts(files)
        *_, balance = await self._nodes_table()
        self._say(balance)
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

    async def _submit(self, jobs: Sequence[Job]) -> None:
        """Type all jobs at once, and collect the tickets."""
        answers = await self._ask_each([job.typed for job in jobs])
        for job, answer in zip(jobs, answers, strict=True):
            matched = re.fullmatch(r"Ticket ID: (\S+)", answer)
            if matched is None:
                raise DemoFailedError(f"a job was answered with {answer!r}")
            self._tickets[matched[1]] = job
        if len(self._tickets) != len(jobs):
            raise DemoFailedError("two jobs have the same ticket")
        kinds = Counter(job.kind for job in jobs)
        typed = " and ".join(f"{count} {kind}s" for kind, count in kinds.items())
        self._say(
            f"typed {typed} into the console of {_TYPED_AT}; the first ticket is"
            f" {next(iter(self._tickets))}"
        )

    async def _kill_and_restart(self, files: Files) -> None:
        """Kill a node while it runs commands, and start it again at once."""
        victim = self._nodes[_VICTIM]
        slow = [ticket for ticket, job in self._tickets.items() if job.is_slow]

        def is_at_work(seen: Picture) -> bool:
            # None waits, and the victim has its share.
            places = [seen.open.get(ticket) for ticket in slow]
            return "" not in places and _VICTIM in places

        seen = await self._until(f"{_VICTIM} to be in the middle of a checksum", is_at_work)
        victim.signal("KILL")
        await self._in_time(victim.ended())
        running = {ticket for ticket in slow if seen.open.get(ticket) == _VICTIM}
        pids = [pid for pid, ticket in files.starts() if ticket in running]
        self._say(
            f"killed {_VICTIM} with kill -9 after {seen.done} of {seen.total} jobs, while it ran"
            f" {len(running)} checksums of {SLOW} s each"
        )
        keeper, going = self._what_goes_on(pids)
        self._say(f"its keeper, process {keeper}, goes on with {going} of them; starting it again")
        await self._until(
            f"the balancer to miss {_VICTIM}", lambda seen: _VICTIM not in _joined(seen)
        )
        victim.start(self._reactor)
        seen = await self._until(f"{_VICTIM} to join again", lambda seen: _VICTIM in _joined(seen))
        still = sum(map(is_running, pids))
        self._say(
            f"{_VICTIM} has joined again, with {still} of the same checksums running;"
            f" {seen.total - seen.done} jobs are to end yet"
        )

    def _what_goes_on(self, pids: Sequence[int]) -> tuple[int, int]:
        """The keeper of the node that was killed, and how many of these processes run."""
        keepers = with_state_in(self._directory / _VICTIM)
        if not keepers:
            raise DemoFailedError(f"the keeper of {_VICTIM} has died with its node")
        return keepers[0], sum(map(is_running, pids))

    async def _examine_results(self) -> None:
        """Look whether every ticket has its result."""
        results = await self._ask_each([f"result {ticket}" for ticket in self._tickets])
        _require_all_right(
            "a wrong result",
            {
                ticket: result
                for (ticket, job), result in zip(self._tickets.items(), results, strict=True)
                if not result.startswith(job.result)
            },
        )
        self._say(f"{len(self._tickets)} tickets, {len(results)} results, each as it should be")

    async def _examine_outputs(self) -> None:
        """Look whether each command has put out what it should have."""
        commands = {
            ticket: job.output for ticket, job in self._tickets.items() if job.output is not None
        }
        asked = [self._console.ask_bytes(f"output {ticket}") for ticket in commands]
        outputs = await self._in_time(gatherResults(asked, consumeErrors=True))
        _require_all_right(
            "a wrong output",
            {
                ticket: f"{line} {output!r}"
                for (ticket, wanted), (line, output) in zip(commands.items(), outputs, strict=True)
                if (line, output) != (f"Output: {len(wanted)} bytes, 0 bytes", wanted)
            },
        )
        self._say(f"{len(outputs)} outputs, each the checksum that Python's hashlib gives")

    async def _examine_starts(self, files: Files) -> None:
        """Look whether no command was started a second time, by what is said and by what it did."""
        statuses = await self._ask_each([f"status {ticket}" for ticket in self._tickets])
        again = {
            ticket: status
            for ticket, status in zip(self._tickets, statuses, strict=True)
            if not status.endswith("attempts 1")
        }
        commands = [ticket for ticket, job in self._tickets.items() if job.output is not None]
        _require_all_right(
            "a command that was started again",
            {ticket: again[ticket] for ticket in commands if ticket in again},
        )
        starts = Counter(ticket for _, ticket in files.starts())
        slow = [ticket for ticket in commands if self._tickets[ticket].is_slow]
        _require_all_right(
            "a command that has not run just once",
            {ticket: f"{starts[ticket]} times" for ticket in slow if starts[ticket] != 1},
        )
        self._say(
            f"no checksum was started a second time: all {len(commands)} took one attempt;"
            f" {len(again)} sleeps took more"
        )

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
        if not await are_gone(self._reactor, self._directory, _STOP_LIMIT):
            raise DemoFailedError(
                f"a keeper or a command was there {_STOP_LIMIT:g} s after the last daemon"
            )
        self._say("all daemons were stopped, in order; no process is left, keepers included")

    # -- asking ------------------------------------------------------------------------------------

    async def _ask_each(self, lines: Sequence[str]) -> list[str]:
        asked = [self._console.ask(line) for line in lines]
        return await self._in_time(gatherResults(asked, consumeErrors=True))

    async def _nodes_table(self) -> list[str]:
        answer = self._console.ask_long("nodes", lambda line: line.startswith("Balance"))
        return await self._in_time(answer)

    async def _look(self) -> Picture:
        """Look how far everything is."""
        rows = await self._in_time(
            self._console.ask_long("list", lambda line: line.startswith("Jobs:"))
        )
        opened = read_jobs(rows)
        nodes = read_nodes(await self._nodes_table())
        total = len(self._tickets)
        seconds = self._reactor.seconds() - self._begun
        return Picture(seconds, total - len(opened), total, nodes, opened)

    async def _until(self, what: str, is_so: Callable[[Picture], bool]) -> Picture:
        """Look again and again, and show it, until something is so."""
        end = self._reactor.seconds() + _LIMIT
        while True:
            self._require_running()
            seen = await self._look()
            if self._tickets:
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


def _require_all_right(what: str, wrong: Mapping[str, str]) -> None:
    """Take tickets, and what is wrong with each; there should be none."""
    if wrong:
        lines = [f"{ticket}: {words}" for ticket, words in wrong.items()]
        raise DemoFailedError("\n    ".join([f"these tickets have {what}:", *lines]))
