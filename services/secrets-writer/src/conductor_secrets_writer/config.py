"""The service's own settings, from the environment; every one has a default and a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_PREFIX = "CONDUCTOR_SECRETS_WRITER_"


@dataclass(frozen=True, slots=True)
class Settings:
    """Times, all in seconds."""

    grace: float = 2.0
    """How long a bound claim's resource may take before the claim says so: a fast cloud then costs no extra write."""
    unconfirmed: float = 30.0
    """When to look again at a claim whose binding its concrete resource does not confirm. A belt: a message of the
    concrete resource brings the claim back at once."""
    conflict_poll: float = 60.0
    """When to look again whether somebody else's object still has a connection object's name: nothing tells us."""
    collection_poll: float = 1.0
    """When to look again whether an earlier claim's object was collected."""
    collection_patience: float = 60.0
    """How old a claim may be for an earlier claim's leftovers to be nothing worth telling."""
    resync: float = 1800.0
    """How often a Ready claim's objects are verified, so that one deleted by hand comes back. A look costs about 10 ms
    of CPU: with a thousand claims this is half a per cent of a core. The annotation ``reconcile-requested-at`` has a
    claim looked at at once."""
    resync_jitter: float = 0.1
    """The share by which resyncs are spread, so that claims made together are not verified together for ever."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """``CONDUCTOR_SECRETS_WRITER_GRACE``, ``…_RESYNC`` and so on. Raises ``ValueError`` that names the variable."""
        given: dict[str, float] = {}
        for name in cls.__dataclass_fields__:
            variable = _PREFIX + name.upper()
            if variable in environment:
                given[name] = _seconds(variable, environment[variable])
        return cls(**given)


def _seconds(variable: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ValueError(f"{variable} must be a number of seconds, zero or more, not {text!r}")
    return value
