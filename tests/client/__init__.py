"""
Tests of the clients, and of the node's side of their protocol.
"""
