"""
C{jobcluster top}: the cluster, live.
"""

from __future__ import annotations

import time
from typing import Final

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from jobcluster.cli.common import Seconds, Shell, verb
from jobcluster.cli.facts import facts_of_cluster
from jobcluster.core.views import ClusterView, NodeView
from jobcluster.errors import BalancerAwayError

__all__ = ["command"]

_BAR: Final = 20
"""Characters of the bar of a node that is full."""


@click.command
@verb
@click.option("--every", type=Seconds(min=0.1), default=1.0, help="Seconds between two looks.")
@click.option("--looks", type=click.IntRange(min=1), help="End after so many looks.")
def command(shell: Shell, every: float, looks: int | None) -> None:
    """
    Show how many jobs each node runs, how well that is balanced, how many wait, and how many end
    each second; Ctrl-C ends it.
    """
    console = Console()
    rates = _Rates()
    with Live(console=console, auto_refresh=False, transient=False) as live:
        count = 0
        while True:
            try:
                view = shell.cluster.nodes()
            except BalancerAwayError as error:
                live.update(Text(str(error)), refresh=True)
            else:
                if shell.as_json:
                    shell.say("", facts_of_cluster(view))
                else:
                    live.update(_shown(view, rates.seen(view, time.monotonic())), refresh=True)
            count += 1
            if count == looks:
                break
            time.sleep(every)
    if not console.is_terminal and not shell.as_json:
        console.print()


class _Rates:
    """How many jobs end each second, at each node."""

    def __init__(self) -> None:
        self._at = 0.0
        self._completed: dict[str, int] = {}

    def seen(self, view: ClusterView, now: float) -> dict[str, float]:
        """
        The rates since the look before; of nodes that are new there is none.
        """
        passed = now - self._at
        completed = {node.name: node.completed for node in view.nodes}
        rates = {
            name: (count - self._completed[name]) / passed
            for name, count in completed.items()
            if name in self._completed and count >= self._completed[name]
        }
        self._at, self._completed = now, completed
        return rates


def _shown(view: ClusterView, rates: dict[str, float]) -> Group:
    table = Table(box=None, header_style="bold")
    table.add_column("NODE")
    table.add_column("STATE")
    table.add_column("RUNNING", no_wrap=True)
    for name in ("SLOTS", "GIVEN", "WAITING", "ENDED", "/s"):
        table.add_column(name, justify="right", no_wrap=True)
    for node in view.nodes:
        rate = rates.get(node.name)
        table.add_row(
            node.name,
            node.state,
            _bar(node),
            str(node.slots),
            str(node.given),
            str(node.waiting),
            str(node.completed),
            "" if rate is None else f"{rate:.1f}",
        )
    balance = view.balance
    line = Text(
        f"running max - min {balance.difference} now, {balance.average:.3f} on average, within 1"
        f" for {100 * balance.within_one:.2f} %; {balance.waiting} waiting;"
        f" {sum(rates.values()):.1f} ended per second"
    )
    return Group(table, line)


def _bar(node: NodeView) -> str:
    filled = min(_BAR, round(_BAR * node.running / max(node.slots, 1)))
    return f"{node.running:>5} {'█' * filled}{'░' * (_BAR - filled)}"
