"""Preloaded last, in the fork server alone: what it has imported is no garbage.

A job's first look for garbage would otherwise walk through a million objects that it shares with the server, and copy
their pages by that: half a second of every job.
"""

import atexit
import gc

gc.collect()
gc.freeze()
atexit.register(gc.unfreeze)  # of the server; jobs end without it
