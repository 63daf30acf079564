"""
What people and programs type into a node, and what they are answered.
"""
