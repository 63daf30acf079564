"""
Clients of a cluster: for Twisted, and for programs that block.
"""
