"""
The tests of jobcluster: unit tests, and those in L{tests.functional} that need a reactor.

Whichever runner has been started, it imports this first; so here is how Hypothesis is set up.
"""

import os

from hypothesis import settings

# Time is no property of the code: the same example takes many times as long while branches are
# counted, or while another process has the cores.
settings.register_profile("full", deadline=None)
settings.register_profile("quick", settings.get_profile("full"), max_examples=5)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "full"))
