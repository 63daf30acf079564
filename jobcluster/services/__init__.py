"""
The shells: they turn the outside world into events, and carry out what the core answers.
"""
