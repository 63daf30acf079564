"""
The stores: one contract, held against each of them, and what only one of them has.

SQLite runs here without threads, by way of L{tests.store.direct}; with them, in
C{tests/functional/test_store_threads.py}.
"""
