"""The conformance suite: what a driver promises, tried on it. See docs/writing-a-provisioner.md."""

from conductor_provisioner.conformance.subject import Fault, NotSimulated, StandIn, Subject
from conductor_provisioner.conformance.suite import Conformance

__all__ = ["Conformance", "Fault", "NotSimulated", "StandIn", "Subject"]
