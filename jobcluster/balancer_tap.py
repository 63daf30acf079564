"""
What C{twistd jobbalancer} does: its options, and how the balancer is put together.
"""

from __future__ import annotations

import os
import secrets

from twisted.application.service import MultiService, Service

from jobcluster.config import BALANCER
from jobcluster.core.cluster import ClusterSettings
from jobcluster.daemon import DaemonOptions, serve

__all__ = ["Options", "makeService"]


class Options(DaemonOptions):
    """
    The balancer's options.
    """

    settings = BALANCER
    listening = "listen"
    synopsis = "[options]"
    longdesc = "Decides which node runs what; keeps nothing on disk."


def makeService(options: Options) -> MultiService:
    """
    Put a balancer together.
    """
    from twisted.internet import reactor

    from jobcluster.services.balancer import BalancerService, PeerFactory
    from jobcluster.services.clocks import machine_clocks

    chosen = options.chosen
    settings = ClusterSettings(
        grace=chosen["rejoin-grace"],
        periodic=chosen["dispatch-mode"] == "periodic",
        dispatch_period=chosen["dispatch-period"],
        max_jobs_dispatch=chosen["max-num-jobs-dispatch"],
        retell=chosen["request-result-period"],
        max_nodes=chosen["max-num-nodes"],
    )
    balancer = BalancerService(
        reactor,
        machine_clocks,
        settings,
        f"{os.getpid()}-{secrets.token_hex(4)}",
        verbose=chosen["verbose"],
    )
    services = MultiService()
    Service.setServiceParent(balancer, services)
    serve(services, reactor, options, PeerFactory(balancer))
    return services
