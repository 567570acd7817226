"""The watcher: turns changes of Conductor's objects into messages on the bus.

It is the only one that watches them. ``decide`` says which messages follow from what the API and the stream hold and in
which trace they belong, ``outbox`` publishes them, ``loop`` drives both from the reflectors.
"""

from importlib.metadata import version

VERSION = version("conductor-watcher")
