"""
The wire: what nodes and balancer say to each other, as AMP boxes of msgpack.

L{jobcluster.wire.node_peer} is the protocol at a node, L{jobcluster.wire.balancer_peer} the one at
the balancer; below them are the commands, the codec, the outbox and the watch over silence.
"""

from typing import Final

__all__ = ["VERSION"]

VERSION: Final = 2
"""
The version of the protocol, exchanged in C{Join} before anything else is looked at.

It is to be raised with every change of L{jobcluster.wire.commands} or of what these carry.
"""
