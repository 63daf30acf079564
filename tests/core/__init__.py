"""
Tests of the core: no reactor, no I/O, no real time.
"""
