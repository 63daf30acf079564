"""
The cores in simulated worlds: many seeds, and Hypothesis over the same.
"""

from __future__ import annotations

from random import Random
from typing import Final

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.cluster import ClusterSettings
from jobcluster.core.values import Spec
from tests.core.rig.chaos import Chaos
from tests.core.rig.disks import Disk
from tests.core.rig.drive import ALL_FAULTS, WITH_RESTORES, drive
from tests.core.rig.placements import rows_of
from tests.core.rig.settling import settle
from tests.core.rig.shapes import Kit, Shape, sleep
from tests.core.rig.world import World

_SEEDS: Final = 60
_STEPS: Final = 300


class SeedTests(SynchronousTestCase):
    """
    L{drive}, for a small part of the seeds that the command drives.
    """

    def test_no_promise_is_broken(self) -> None:
        """
        With all faults, no seed breaks a promise.
        """
        for seed in range(_SEEDS):
            result = drive(seed, _STEPS, lines=60)
            self.assertEqual("", result.violation, f"seed {seed}:\n{result.history}")

    def test_merged_words(self) -> None:
        """
        Nor does one if what waits to be said is merged word by word, as the wire does it.

        In these the words about one job came in one box in an order that was once misread.
        """
        for seed in (5, 206, 251, 523, 529, 624, 679, 712, 795, 822, 1364):
            result = drive(seed, _STEPS, kit=Kit(merging=True), lines=60)
            self.assertEqual("", result.violation, f"seed {seed}:\n{result.history}")

    def test_renewed_leases(self) -> None:
        """
        Nor is anything started late that lies unread in a keeper.

        In these its lease was over, and was once renewed when the node came back.
        """
        for seed in (202, 815, 1383):
            result = drive(seed, _STEPS, lines=60)
            self.assertEqual("", result.violation, f"seed {seed}:\n{result.history}")

    def test_restores(self) -> None:
        """
        Nor does one if nodes are restored from backups that have forgotten a part.

        In the last of these a backup was restored twice, and had the same memory each time.
        """
        for seed in (*range(12), 953):
            result = drive(seed, _STEPS, WITH_RESTORES, lines=60)
            self.assertEqual("", result.violation, f"seed {seed}:\n{result.history}")
            self.assertTrue(result.counts["fault restore"] or seed < 12)

    def test_each_fault_happens(self) -> None:
        """
        No fault is one in name only.
        """
        happened = {name for seed in range(20) for name in drive(seed, 100).counts}
        self.assertEqual(set(), {f"fault {name}" for name in ALL_FAULTS} - happened)

    def test_repeatable(self) -> None:
        """
        A seed decides everything.
        """
        first, second = (drive(7, 100, lines=1) for _ in range(2))
        self.assertEqual(first, second)


class Forgetful(Chaos):
    """
    Clients who submit the same few jobs again and again, each with its key.
    """

    def spec(self) -> Spec:
        """
        Some job that may have been submitted before; two keys are used for two jobs each.
        """
        number = self.rng.randrange(8)
        key = f"key {number if number < 6 else number - 2}"
        return attrs.evolve(sleep(100 * number, priority=number % 2), key=key)


class KeyTests(SynchronousTestCase):
    """
    Worlds in which jobs have keys.
    """

    def test_one_job_for_a_key(self) -> None:
        """
        On each disk a key has one job, and one ticket only was ever answered for it, whatever was
        killed, failed or was copied meanwhile.
        """
        answered = again = 0
        for seed in range(12):
            world = World(seed)
            chaos = Forgetful(world, ALL_FAULTS)
            for _ in range(_STEPS):
                chaos.step()
            chaos.over = True
            settle(world)
            tickets: dict[tuple[Disk, str], set[int]] = {}
            for site, job, spec in world.tickets:
                tickets.setdefault((site.disk, spec.key), set()).add(job)
            for (disk, key), jobs in tickets.items():
                [row] = disk.tables.keys([key])
                self.assertEqual({row.job}, jobs, f"seed {seed}, {disk.name}, {key}")
            answered += len(world.tickets)
            again += len(world.tickets) - len(tickets)
        self.assertGreater(again, answered / 2)


class QuietTests(SynchronousTestCase):
    """
    Worlds in which nothing goes wrong.
    """

    def test_balance(self) -> None:
        """
        While jobs wait, every node has been given the same number, and runs as many.
        """
        world = World(1, Shape(slots=(2, 2, 2, 2)))
        world.run(1.0)
        rng = Random(1)
        world.submit(world.sites[0], *(sleep(rng.randint(10, 300)) for _ in range(200)))
        ledger = world.truth.ledger(world.sites[0].disk)
        world.run(1.0)
        balancer = world.balancer
        if balancer is None:
            self.fail("there is no balancer")
        uneven = steps = 0
        while balancer.cluster.books().ready.count:
            world.step(1)
            steps += 1
            given = [row.given for row in rows_of(balancer.cluster).values()]
            uneven += max(given) - min(given) > 1
        self.assertLess(uneven, steps / 100)
        world.until(lambda: not ledger.open_jobs)
        self.assertEqual(200, len(ledger.outcomes))

    def test_periodic(self) -> None:
        """
        In the periodic mode 200 jobs leave in 7 rounds, to the nodes that hold least.
        """
        world = World(1, Shape(slots=(2, 2, 2, 2), cluster=ClusterSettings(periodic=True)))
        world.run(1.0)
        world.submit(world.sites[0], *(sleep(1) for _ in range(200)))
        ledger = world.truth.ledger(world.sites[0].disk)
        world.until(lambda: len(ledger.outcomes) == 200)
        self.assertEqual(7, world.ground.counts["rounds"])


class Life(RuleBasedStateMachine):
    """
    What happens in a world is chosen by Hypothesis, how long things take by a seed.
    """

    chaos: Chaos

    @initialize(seed=st.integers(0, 1 << 16))
    def begin(self, seed: int) -> None:
        """
        Start a world.
        """
        self.chaos = Chaos(World(seed), ALL_FAULTS)

    @rule(seconds=st.sampled_from((0.001, 0.05, 0.5, 3.0, 12.0)))
    def wait(self, seconds: float) -> None:
        """
        Let time pass.
        """
        self.chaos.world.run(seconds)

    @rule()
    def submit(self) -> None:
        """
        A client submits something.
        """
        self.chaos.submit()

    @precondition(lambda self: self.chaos.world.tickets)
    @rule()
    def cancel(self) -> None:
        """
        A client cancels something.
        """
        self.chaos.cancel()

    @rule(name=st.sampled_from(sorted(ALL_FAULTS)))
    def fault(self, name: str) -> None:
        """
        Something goes wrong.
        """
        self.chaos.fault(name)

    @invariant()
    def sanity_check(self) -> None:
        """
        The books add up.
        """
        balancer = self.chaos.world.balancer
        if balancer is not None and balancer.alive:
            rows_of(balancer.cluster)

    def teardown(self) -> None:
        """
        Every job reaches its outcome, and nothing is left over.
        """
        if hasattr(self, "chaos"):
            self.chaos.over = True
            settle(self.chaos.world)


Life.TestCase.settings = settings(max_examples=30, stateful_step_count=40)


class LifeTests(SynchronousTestCase):
    """
    L{Life}, run by Hypothesis.
    """

    def test_life(self) -> None:
        """
        No promise is broken, whatever is chosen.
        """
        Life.TestCase("runTest").debug()
