"""
Random life in a world: clients, time, and faults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jobcluster.core.lives import PAYLOAD_SAID
from jobcluster.core.values import Spec
from tests.core.rig.shapes import Site, command, sleep
from tests.core.rig.world import World

__all__ = ["Chaos", "Fault"]

Fault = Callable[["Chaos"], bool]
"""Does something bad to the world; whether it could."""

_OPEN_LIMIT = 30
_LONG = PAYLOAD_SAID + 1
_IMPOSSIBLE = "unobtainium"


class Chaos:
    """
    One world, to which something happens at every step.
    """

    def __init__(self, world: World, faults: Mapping[str, Fault]) -> None:
        """
        Nothing has gone wrong yet.

        @param faults: by their names; those that are to be drawn from.
        """
        self.world = world
        self.rng = world.rng
        self.faults = faults
        self.over = False
        """Whether everybody is to be left in peace from now on."""
        self._names = list(faults)
        self._fault_rate = self.rng.choice((0.05, 0.15, 0.3))
        self._long = self.rng.choice((300, 2_000, 6_000))

    def step(self) -> None:
        """
        Do something or other.
        """
        toss = self.rng.random()
        if toss < self._fault_rate:
            self.fault(self.rng.choice(self._names))
        elif toss < self._fault_rate + 0.2:
            self.submit()
        elif toss < self._fault_rate + 0.25:
            self.cancel()
        else:
            self.wait()

    def fault(self, name: str) -> bool:
        """
        Let this go wrong.
        """
        self.world.ground.history.note("chaos", name)
        done = self.faults[name](self)
        if done:
            self.world.ground.counts[f"fault {name}"] += 1
        return done

    # -- ordinary life -----------------------------------------------------------------------------

    def wait(self) -> None:
        """
        Let something happen, or some time pass.
        """
        rng, world = self.rng, self.world
        kind = rng.randrange(4)
        if kind == 0:
            world.step(rng.randint(1, 20))
        else:
            world.run(rng.random() * (0.05, 0.5, 3.0)[kind - 1])

    def spec(self) -> Spec:
        """
        Some job or other.
        """
        rng = self.rng
        once = rng.random() < 0.3
        ms = rng.choice(
            (0, 1, rng.randint(1, 300), rng.randint(1, 1_500), rng.randint(1, self._long))
        )
        if self.world.shape.keepers and rng.random() < 0.4:
            size = _LONG if rng.random() < 0.04 else 0
            return command(ms, once=once, talks=rng.random() < 0.2, size=size)
        toss = rng.random()
        requires = "gpu" if toss < 0.1 else _IMPOSSIBLE if toss < 0.12 else ""
        return sleep(ms, requires, rng.choice((0, 0, 0, 0, 5)), once=once)

    def submit(self) -> None:
        """
        Some client submits some jobs.
        """
        site = self.some_site()
        if site is None:
            return
        ledger = self.world.truth.ledger(site.disk)
        if len(ledger.open_jobs) < _OPEN_LIMIT:
            count = self.rng.choice((1, 1, 2, 5))
            specs = [self.spec() for _ in range(count)]
            self.world.ground.history.note("chaos", "submit", site.name, count)
            self.world.submit(site, *specs)

    def cancel(self) -> None:
        """
        Some client cancels one of the last jobs.
        """
        tickets = self.world.tickets[-10:]
        if tickets:
            site, job, _ = self.rng.choice(tickets)
            self.world.ground.history.note("chaos", "cancel", site.name, job)
            self.world.cancel(site, job)

    # -- what faults use ---------------------------------------------------------------------------

    def later(self, seconds: float, call: Callable[..., object], *args: object) -> None:
        """
        Do something in a while, unless chaos has ended by then.
        """
        self.world.clock.callLater(seconds, self._do, call, args)

    def _do(self, call: Callable[..., object], args: tuple[object, ...]) -> None:
        if not self.over:
            call(*args)

    def some_site(self) -> Site | None:
        """
        Some place where a node's process runs.
        """
        sites = [site for site in self.world.sites if site.running is not None]
        return self.rng.choice(sites) if sites else None

    def delay(self) -> float:
        """
        Seconds until what was killed is started again: at once, within the grace, or after it.
        """
        rng = self.rng
        return rng.choice((0.0, rng.random() * 0.3, rng.random() * 3.0, rng.random() * 12.0))

    def kill(self, site: Site) -> None:
        """
        Kill a node's process, and have it started again some time.
        """
        self.world.kill(site)
        self.later(self.delay(), self.world.boot, site)

    def kill_balancer(self) -> None:
        """
        Kill the balancer, and have another one started some time.
        """
        self.world.kill_balancer()
        self.later(self.delay(), self.world.start_balancer)

    def freeze(self, site: Site, seconds: float) -> None:
        """
        Stop a node's process for some time.
        """
        process = site.running
        if process is not None:
            process.freeze()
            self.later(seconds, process.thaw)

    def freeze_keeper(self, site: Site, seconds: float) -> None:
        """
        Stop a keeper for some time, at the end of which it may be another one's turn.
        """
        process = site.keeper_process
        if process is not None:
            process.freeze()
            self.later(seconds, process.thaw)

    def sees(self) -> float | None:
        """
        Seconds until an end of a connection sees that it was cut.
        """
        rng = self.rng
        return rng.choice((0.0, rng.random() * 0.1, rng.random() * 5.0, None))
