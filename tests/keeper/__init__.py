"""
Tests of the keeper.
"""
