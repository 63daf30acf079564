"""
C{jobcluster node}: a node in the foreground.
"""

from jobcluster.cli.daemons import make_command

__all__ = ["command"]

command = make_command("node")
