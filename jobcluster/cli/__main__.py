"""
C{python -m jobcluster.cli}: the command line, where it is not on the path.
"""

from jobcluster.cli.main import start

if __name__ == "__main__":
    start()
