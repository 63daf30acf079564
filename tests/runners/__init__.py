"""
Tests of what runs jobs, on a clock that is turned by hand.
"""
