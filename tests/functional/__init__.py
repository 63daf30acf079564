"""
Tests with real processes, real sockets and the reactor; pytest runs them, trial does not see them.

They are coroutines for pytest-twisted, or plain functions where no reactor is needed; never
classes of trial's, which cannot spin the reactor that pytest-twisted has running.
"""
