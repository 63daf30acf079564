"""
Tests of the shells: real ones, over disks, connections and time in memory.
"""
