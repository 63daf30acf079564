"""
A cluster on one machine, some dozens of jobs, and a C{kill -9} in the middle.

C{python -m jobcluster.demo} starts a balancer and three nodes as daemons of twistd, types sleeps
and checksums over a few files into the console of one node, shows what runs where, and looks
whether every ticket has its result and every file its checksum, and whether a node that was killed
and came back has kept the commands that it ran.
It is meant to be read, too: L{jobcluster.demo.console} is a client of the console in a few lines.
"""
