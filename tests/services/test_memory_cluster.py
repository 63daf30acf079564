"""
L{MemoryCluster}: a double has tests of its own.
"""

from __future__ import annotations

import doctest

import attrs
from twisted.internet.defer import Deferred, succeed

from jobcluster.core.cluster import ClusterSettings
from jobcluster.core.values import Status
from jobcluster.core.views import Filter, JobView
from jobcluster.errors import (
    BalancerAwayError,
    NotAcknowledgedError,
    StateGoneError,
    StoreFailedError,
)
from jobcluster.testing import clusters
from jobcluster.testing.clocks import HeapClock
from jobcluster.testing.clusters import MemoryCluster
from jobcluster.testing.processes import Process
from tests.services.cases import ServiceCase
from tests.services.rig import sleep


def status_of(view: JobView) -> str:
    """
    How a job ended.
    """
    return "" if view.outcome is None else view.outcome.status


class BuildTests(ServiceCase):
    """
    Clusters, built in one line.
    """

    def test_documented(self) -> None:
        """
        What the module's docstring shows is what happens.
        """
        result = doctest.testmod(clusters)
        self.assertGreater(result.attempted, 5)
        self.assertEqual(0, result.failed)

    def test_joined(self) -> None:
        """
        All nodes have joined when it is built, with their slots, and no time has passed.
        """
        cluster = self.cluster(nodes=3, slots=4)
        shown = [(node.name, node.state, node.slots) for node in cluster.view().nodes]
        self.assertEqual([(name, "joined", 4) for name in "abc"], shown)
        self.assertEqual(0.0, cluster.clock.seconds())

    def test_names(self) -> None:
        """
        The nodes may be given names; there may be one, or none.
        """
        cluster = self.cluster(nodes=["left", "right"])
        self.assertEqual({"left", "right"}, set(cluster.nodes))
        self.assertEqual("right", cluster.client("right").name)
        self.assertEqual({}, self.cluster(nodes=0).nodes)

    def test_settings(self) -> None:
        """
        The balancer has the settings that it is given.
        """
        cluster = self.cluster(nodes=1, settings=ClusterSettings(periodic=True))
        self.assertEqual("periodic", cluster.view().mode)

    def test_hop(self) -> None:
        """
        What goes from one process to another takes as long as is said.
        """
        cluster = self.cluster(nodes=2, hop=0.25)
        self.assertEqual(0.75, cluster.clock.seconds())
        before = cluster.clock.seconds()
        cluster.result(cluster.client("a").cluster())
        self.assertEqual(0.5, cluster.clock.seconds() - before)


class TimeTests(ServiceCase):
    """
    Time that passes only when it is told to.
    """

    def test_advance(self) -> None:
        """
        Jobs run while time passes, on every node as many as it has slots.
        """
        cluster = self.cluster(nodes=3, slots=2)
        cluster.submit("a", [500] * 7)
        self.assertEqual({"a": 0, "b": 0, "c": 0}, cluster.running())
        cluster.advance(0)
        self.assertEqual({"a": 2, "b": 2, "c": 2}, cluster.running())
        cluster.advance(0.75)
        self.assertEqual(1, sum(cluster.running().values()))

    def test_result(self) -> None:
        """
        A result that is there takes no time; a failure is raised.
        """
        cluster = self.cluster(nodes=1)
        self.assertEqual(5, cluster.result(succeed(5)))
        cluster.kill_balancer()
        cluster.advance(0)
        with self.assertRaises(BalancerAwayError):
            cluster.result(cluster.client("a").cluster())

    def test_result_that_does_not_come(self) -> None:
        """
        Who waits for too long fails, and what was waited for is cancelled.
        """
        cluster = self.cluster(nodes=1)
        cancelled: list[object] = []
        never: Deferred[None] = Deferred(cancelled.append)
        with self.assertRaises(AssertionError):
            cluster.result(never, within=5)
        self.assertEqual([never], cancelled)
        self.assertLessEqual(cluster.clock.seconds(), 5)

    def test_until(self) -> None:
        """
        It goes on just until something is so; what is never so, fails.
        """
        cluster = self.cluster(nodes=1)
        cluster.submit("a", [500])
        cluster.until(lambda: cluster.running()["a"] == 1)
        cluster.until(lambda: cluster.running()["a"] == 0)
        self.assertEqual(0.5, cluster.clock.seconds())
        with self.assertRaises(AssertionError):
            cluster.until(lambda: False, within=1)

    def test_nothing_to_wait_for(self) -> None:
        """
        Where nothing is going to happen, nobody waits.
        """
        cluster = MemoryCluster(nodes=1)
        cluster.close()
        with self.assertRaises(AssertionError):
            cluster.until(lambda: False)

    def test_time_that_stands_still(self) -> None:
        """
        What happens again and again in no time is noticed.
        """
        process = Process(HeapClock())

        def again() -> None:
            process.callLater(0, again)

        again()
        with self.assertRaises(AssertionError):
            process.clock.advance(0)
        process.die()

    def test_rounding(self) -> None:
        """
        A time that is too short to be told from none passes all the same.
        """
        process = Process(HeapClock(1e9))
        times: list[float] = []
        process.callLater(1e-12, lambda: times.append(process.seconds()))
        process.clock.advance(1)
        self.assertGreater(times[0], 1e9)

    def test_specs(self) -> None:
        """
        Jobs may be given as they are, too.
        """
        cluster = self.cluster(nodes=1, slots=1)
        low, high = cluster.submit("a", [sleep(125, 0), sleep(125, 9)])
        cluster.wait(high)
        cluster.advance(0)
        self.assertEqual("running", cluster.result(cluster.client("a").view(low)).state)


class FaultTests(ServiceCase):
    """
    Everything that can be done to a cluster.
    """

    def test_kill(self) -> None:
        """
        A node that was killed does nothing more; what it had committed is there when it is started
        again, and no job is lost.
        """
        cluster = self.cluster(nodes=2, slots=1)
        tickets = cluster.submit("a", [500] * 4)
        cluster.advance(0.25)
        cluster.kill("a")
        self.assertEqual([], list(cluster.nodes["a"].process.getDelayedCalls()))
        self.assertEqual({"b": 1}, cluster.running())
        cluster.advance(10)
        self.assertEqual([], list(cluster.nodes["a"].process.getDelayedCalls()))
        cluster.restart("a")
        self.assertEqual([Status.SUCCEEDED] * 4, [status_of(cluster.wait(t)) for t in tickets])

    def test_kill_is_no_good_bye(self) -> None:
        """
        The balancer sees the connection end, and gives the node its grace.
        """
        cluster = self.cluster(nodes=2)
        cluster.kill("a")
        cluster.advance(0)
        self.assertEqual("away", cluster.view().nodes[0].state)
        cluster.advance(4)
        self.assertEqual(["b"], [node.name for node in cluster.view().nodes])

    def test_kill_writes_nothing(self) -> None:
        """
        A commit that is under way when the node is killed is not on its disk.
        """
        cluster = self.cluster(nodes=1)
        cluster.nodes["a"].disk.delay = 0.5
        submitted = cluster.client("a").submit([sleep(5)])
        cluster.advance(0.25)
        cluster.kill("a")
        cluster.advance(1)
        self.assertNoResult(submitted)
        self.assertEqual((), cluster.nodes["a"].tables.views(Filter(), 0, 10))

    def test_restart_of_one_that_runs(self) -> None:
        """
        One that still runs is killed first.
        """
        cluster = self.cluster(nodes=1)
        old = cluster.nodes["a"].process
        cluster.restart("a")
        self.assertFalse(old.alive)
        cluster.until(cluster.all_joined)
        identity = cluster.nodes["a"].service.identity
        self.assertEqual(2, identity.incarnation if identity else 0)

    def test_balancer(self) -> None:
        """
        While there is no balancer nodes keep trying; another one knows everything again, and no
        running job noticed (C7).
        """
        cluster = self.cluster(nodes=2, slots=1)
        tickets = cluster.submit("a", [5000] * 2)
        cluster.advance(1)
        cluster.kill_balancer()
        cluster.advance(1)
        self.assertFalse(cluster.all_joined())
        self.assertEqual({"a": 1, "b": 1}, cluster.running())
        cluster.start_balancer()
        cluster.until(cluster.all_joined, within=1.1)
        cluster.advance(0)
        self.assertEqual([1, 1], [node.running for node in cluster.view().nodes])
        for ticket in tickets:
            view = cluster.wait(ticket)
            self.assertEqual((Status.SUCCEEDED, 1), (status_of(view), view.attempts))
        self.assertLess(cluster.clock.seconds(), 5.5)

    def test_balancer_of_other_settings(self) -> None:
        """
        The next balancer may have other settings; one that still runs is killed first.
        """
        cluster = self.cluster(nodes=1)
        cluster.settings = ClusterSettings(periodic=True)
        cluster.start_balancer()
        cluster.until(cluster.all_joined)
        self.assertEqual("periodic", cluster.view().mode)

    def test_cut(self) -> None:
        """
        A connection that is cut is made anew.
        """
        cluster = self.cluster(nodes=2, hop=0.01)
        cluster.cut("a")
        cluster.advance(0.01)
        self.assertNotEqual("", cluster.client("a").joined())
        self.assertEqual("", cluster.client("b").joined())
        cluster.until(cluster.all_joined, within=1)

    def test_stop(self) -> None:
        """
        A node that is stopped has said good-bye, and can be started again.
        """
        cluster = self.cluster(nodes=2)
        cluster.stop("a")
        cluster.advance(0)
        self.assertEqual(["b"], [node.name for node in cluster.view().nodes])
        cluster.restart("a")
        cluster.until(cluster.all_joined)

    def test_setup(self) -> None:
        """
        A node may be started with another setup; its store remembers its name.
        """
        cluster = self.cluster(nodes=1)
        node = cluster.nodes["a"]
        node.setup = attrs.evolve(node.setup, name="z", keep=True)
        cluster.restart("a")
        cluster.until(cluster.all_joined)
        self.assertEqual("a", cluster.client("a").name)

    def test_slow_disk(self) -> None:
        """
        A disk may take its time for each commit.
        """
        cluster = self.cluster(nodes=1)
        cluster.nodes["a"].disk.delay = 0.5
        cluster.submit("a", [5])
        self.assertEqual(0.5, cluster.clock.seconds())

    def test_sick_disk(self) -> None:
        """
        On a sick disk nothing is acknowledged; when it is well the node goes on.
        """
        cluster = self.cluster(nodes=1)
        disk = cluster.nodes["a"].disk
        disk.sick = True
        with self.assertRaises(NotAcknowledgedError):
            cluster.submit("a", [5])
        with self.assertRaises(StoreFailedError):
            cluster.submit("a", [5])
        disk.sick = False
        cluster.until(cluster.all_joined, within=1.1)
        [ticket] = cluster.submit("a", [5])
        self.assertEqual(Status.SUCCEEDED, status_of(cluster.wait(ticket)))

    def test_last_words(self) -> None:
        """
        A node that cannot go on says why, and its process ends.
        """
        cluster = self.cluster(nodes=2)
        node = cluster.nodes["a"]
        node.disk.error = StateGoneError()
        cluster.advance(2)
        self.assertEqual([str(StateGoneError())], node.last_words)
        self.assertFalse(node.process.alive)

    def test_close(self) -> None:
        """
        Closed, it leaves no call on the clock.
        """
        cluster = MemoryCluster(nodes=3)
        cluster.submit("a", [500] * 9)
        cluster.advance(0.25)
        cluster.close()
        self.assertEqual([], cluster.clock.getDelayedCalls())
