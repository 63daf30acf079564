"""
Tests of the consoles.
"""
