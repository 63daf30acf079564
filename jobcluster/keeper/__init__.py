"""
The keeper: a small process beside each node that runs its commands and outlives it.

It imports the standard library alone; C{docs/keeper.rst} says how it is spoken to.
"""
