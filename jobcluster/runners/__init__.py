"""
What runs jobs: sleeps in the node itself.
"""
