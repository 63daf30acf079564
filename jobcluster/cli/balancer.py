"""
C{jobcluster balancer}: a balancer in the foreground.
"""

from jobcluster.cli.daemons import make_command

__all__ = ["command"]

command = make_command("balancer")
