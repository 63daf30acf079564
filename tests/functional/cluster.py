"""
A cluster of real daemons on this machine: one balancer and some nodes, each with its console.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from twisted.internet.error import ConnectError

from tests.functional.daemons import Daemon, Daemons, until_told
from tests.functional.sessions import Session, Table, connect

__all__ = ["START_LIMIT", "Cluster"]

START_LIMIT: Final = 30.0
"""Seconds in which daemons are to be up, on a machine that has much else to do."""


class Cluster:
    """
    The balancer, and the nodes by their names.
    """

    def __init__(
        self, daemons: Daemons, *balancer_options: str, environ: dict[str, str] | None = None
    ) -> None:
        """
        A cluster without nodes, and nothing started.

        @param environ: the balancer's.
        """
        self._daemons = daemons
        self._port = daemons.ports.choose()
        self._consoles: dict[str, int] = {}
        self._states: dict[str, Path] = {}
        self.balancer: Final = daemons.make(
            "balancer",
            "jobbalancer",
            f"--listen={endpoint(self._port)}",
            *balancer_options,
            environ=environ,
        )
        self.nodes: Final[dict[str, Daemon]] = {}

    @property
    def balancer_port(self) -> int:
        """Where nodes connect."""
        return self._port

    def add(
        self,
        name: str,
        *options: str,
        slots: int = 2,
        environ: dict[str, str] | None = None,
        state: Path | None = None,
    ) -> Daemon:
        """
        Add a node; it is not started.

        @param state: its state directory, instead of one of its own.
        """
        console = self._daemons.ports.choose()
        self._consoles[name] = console
        self._states[name] = state or self._daemons.directory / f"state-{name}"
        node = self._daemons.make(
            name,
            "jobnode",
            f"--balancer=tcp:127.0.0.1:{self._port}",
            f"--console={endpoint(console)}",
            f"--name={name}",
            f"--slots={slots}",
            f"--state={self._states[name]}",
            *options,
            environ=environ,
        )
        self.nodes[name] = node
        return node

    def console_of(self, name: str) -> int:
        """
        The port of a node's console.
        """
        return self._consoles[name]

    def state_of(self, name: str) -> Path:
        """
        The state directory of a node.
        """
        return self._states[name]

    async def start(self, names: Sequence[str], *options: str, slots: int = 2) -> None:
        """
        Add and start these nodes, and the balancer; returns when all have joined.
        """
        self.balancer.start()
        for name in names:
            self.add(name, *options, slots=slots).start()
        await self.joined(names)

    async def session(self, name: str, limit: float = START_LIMIT, node: str = "") -> Session:
        """
        Begin a session at a node, as soon as it is up.

        @param node: what it calls itself, if not that.
        """
        up = f"node {node or name} is up"

        async def attempt() -> Session | None:
            assert self.nodes[name].runs, f"{name} has ended"
            if up not in self.nodes[name].said:
                return None
            try:
                return await connect(self._consoles[name])
            except ConnectError:
                return None

        return await until_told(limit, f"{name} is not up", attempt)

    async def joined(self, names: Sequence[str], limit: float = START_LIMIT) -> Table:
        """
        Wait until each of these nodes is joined, and says so at its own console.
        """
        sessions = [await self.session(name, limit) for name in names]

        async def all_in() -> Table | None:
            seen: Table | None = None
            for session in sessions:
                table = await session.nodes()
                if isinstance(table, str) or not table.has_joined(names):
                    return None
                seen = table
            return seen

        table = await until_told(limit, f"{names} are not joined", all_in)
        for session in sessions:
            session.drop()
        return table

    async def table(self, name: str) -> Table | str:
        """
        What a node's console answers to C{nodes}.
        """
        session = await self.session(name)
        table = await session.nodes()
        session.drop()
        return table

    async def stop(self) -> None:
        """
        Stop all that runs in order, the nodes first.
        """
        for some in (list(self.nodes.values()), [self.balancer]):
            running = [daemon for daemon in some if daemon.runs]
            for daemon in running:
                daemon.terminate()
            for daemon in running:
                await daemon.ended()


def endpoint(port: int) -> str:
    """
    Listen on this port of the loopback interface.
    """
    return f"tcp:{port}:interface=127.0.0.1"
