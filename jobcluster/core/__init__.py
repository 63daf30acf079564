"""
The part that decides: pure state machines, without sockets, disk, clock or chance.

Events (past tense) go in, actions (imperative) come out; see L{jobcluster.core.node} for a node
and L{jobcluster.core.cluster} for the balancer.
Nothing here imports twisted, reads a clock or draws a random number: all of that is an argument.
"""
