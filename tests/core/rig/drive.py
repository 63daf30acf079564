"""
Many worlds, a seed each: C{python -m tests.core.rig.drive --seeds 0:2000 --steps 300}.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial

import attrs

from tests.core.rig.between import BETWEEN
from tests.core.rig.chaos import Chaos, Fault
from tests.core.rig.directed import DIRECTED
from tests.core.rig.faults import FAULTS
from tests.core.rig.ground import BrokenPromiseError
from tests.core.rig.restores import RESTORES
from tests.core.rig.settling import settle
from tests.core.rig.shapes import Kit, Shape
from tests.core.rig.world import World

__all__ = ["ALL_FAULTS", "WITH_RESTORES", "Result", "drive", "main"]

ALL_FAULTS: Mapping[str, Fault] = {**FAULTS, **DIRECTED, **BETWEEN}

WITH_RESTORES: Mapping[str, Fault] = {**ALL_FAULTS, **RESTORES}


@attrs.frozen
class Result:
    """
    What came of one seed.
    """

    seed: int
    counts: Mapping[str, int]
    settled: float = 0.0
    """Seconds from the end of the faults to the last outcome."""
    violation: str = ""
    history: str = ""


def drive(
    seed: int,
    steps: int = 300,
    faults: Mapping[str, Fault] = ALL_FAULTS,
    kit: Kit | None = None,
    shape: Shape | None = None,
    lines: int = 0,
) -> Result:
    """
    Let one world live for some steps, then settle.

    @param lines: how much history to return when a promise is broken.
    """
    world = World(seed, shape, kit, lines)
    settled = 0.0
    try:
        chaos = Chaos(world, faults)
        for _ in range(steps):
            chaos.step()
        chaos.over = True
        settled = settle(world)
    except BrokenPromiseError as violation:
        return Result(
            seed, world.ground.counts, settled, str(violation), world.ground.history.tail()
        )
    except Exception:  # noqa: BLE001 - whatever it is, the seed is wanted
        text = traceback.format_exc()
        return Result(seed, world.ground.counts, settled, text, world.ground.history.tail())
    return Result(seed, world.ground.counts, settled)


def drive_all(
    seeds: Iterable[int],
    steps: int,
    faults: Mapping[str, Fault],
    jobs: int,
    lines: int,
    *,
    merging: bool = False,
) -> Iterable[Result]:
    """
    Many of them, in as many processes.
    """
    one = partial(_drive_named, steps=steps, names=tuple(faults), lines=lines, merging=merging)
    if jobs == 1:
        yield from map(one, seeds)
        return
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield from pool.imap_unordered(one, seeds, chunksize=4)


def _drive_named(
    seed: int, steps: int, names: tuple[str, ...], lines: int, *, merging: bool
) -> Result:
    faults = {name: WITH_RESTORES[name] for name in names}
    return drive(seed, steps, faults, Kit(merging=merging), lines=lines)


def summary(results: Iterable[Result], steps: int, began: float) -> str:
    """
    What came of all of them.
    """
    counts: Counter[str] = Counter()
    seeds = 0
    slowest = 0.0
    violations = []
    for result in results:
        seeds += 1
        counts.update(result.counts)
        slowest = max(slowest, result.settled)
        if result.violation:
            violations.append(result)
    seconds = time.monotonic() - began
    faults = {name: count for name, count in sorted(counts.items()) if name.startswith("fault ")}
    shown = ", ".join(f"{name.removeprefix('fault ')} {count:,}" for name, count in faults.items())
    runs = f"{counts['runs started']:,} runs started, {counts['placed']:,} placements"
    fetched = f"{counts['outputs collected']:,} outputs, {counts['payloads fetched']:,} payloads"
    lines = [
        f"{seeds} seeds of {steps} steps, {counts['events']:,} events in {seconds:.1f} s",
        f"{runs} in {counts['rounds']:,} rounds, {fetched} fetched",
        f"slowest to settle: {slowest:.1f} s",
        f"{sum(faults.values()):,} faults: {shown}",
        f"{len(violations)} violations",
    ]
    for result in violations:
        lines.append(f"seed {result.seed}: {result.violation}")
        if result.history:
            lines.append(result.history)
    return "\n".join(lines)


def _seeds(text: str) -> range:
    first, _, end = text.partition(":")
    return range(int(first), int(end)) if end else range(int(first), int(first) + 1)


def main(arguments: list[str] | None = None) -> int:
    """
    The command.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.core.rig.drive")
    parser.add_argument("--seeds", type=_seeds, default=range(100), help="one, or FIRST:END")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--fault", action="append", choices=sorted(WITH_RESTORES))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--lines", type=int, default=0, help="of history, for each violation")
    parser.add_argument("--merging", action="store_true", help="merge words field by field")
    parser.add_argument("--restoring", action="store_true", help="restore backups, too")
    options = parser.parse_args(arguments)
    names = options.fault or (WITH_RESTORES if options.restoring else ALL_FAULTS)
    faults = {name: WITH_RESTORES[name] for name in names}
    began = time.monotonic()
    results = []
    try:
        for result in drive_all(
            options.seeds,
            options.steps,
            faults,
            options.jobs,
            options.lines,
            merging=options.merging,
        ):
            results.append(result)  # noqa: PERF402 - what there is by then is shown
    except KeyboardInterrupt:
        sys.stdout.write("interrupted\n")
    sys.stdout.write(summary(results, options.steps, began) + "\n")
    return int(any(result.violation for result in results))


if __name__ == "__main__":
    sys.exit(main())
