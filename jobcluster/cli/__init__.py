"""
The programs for administrators, one module each.
"""
