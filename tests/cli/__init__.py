"""
Tests of the programs for administrators.
"""
