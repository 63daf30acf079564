"""
The wire, by real protocols over connections in memory.
"""
