"""
What C{twistd} shows of jobcluster: C{twistd jobbalancer} and C{twistd jobnode}.
"""

from twisted.application.service import ServiceMaker

jobbalancer = ServiceMaker(
    "jobcluster balancer",
    "jobcluster.balancer_tap",
    "The balancer of a jobcluster: decides which node runs what.",
    "jobbalancer",
)

jobnode = ServiceMaker(
    "jobcluster node",
    "jobcluster.node_tap",
    "A node of a jobcluster: takes jobs from clients and runs jobs.",
    "jobnode",
)
