"""
A simulated world for the core: one balancer, some nodes, and everything that can go wrong.

The cores, and L{jobcluster.services.perform.Performer}, are the real ones; machines, processes,
connections, disks and time are not.
Every run is decided by one seed.
"""
