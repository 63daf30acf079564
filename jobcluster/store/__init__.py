"""
What a node remembers: L{jobcluster.interfaces.IStore} in SQLite, and in memory.

L{jobcluster.store.sqlite} is the store of a node that is to be trusted; L{jobcluster.store.memory}
forgets everything at its end, and its tables are the yardstick that SQLite is held against.
"""
