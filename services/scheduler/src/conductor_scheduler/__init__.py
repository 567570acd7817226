"""The scheduler: binds claims to concrete resources, and provisions new ones from classes.

Where a claim goes, in the order of the files: ``view`` holds the present state of the world, ``fit`` says why a candidate
does not suit a claim, ``decide`` chooses, ``template`` makes a concrete resource from a class, ``status`` says on the
claim what was decided, ``commit`` writes it, ``loop`` drives it all from the bus.
"""

from importlib.metadata import version

VERSION = version("conductor-scheduler")
