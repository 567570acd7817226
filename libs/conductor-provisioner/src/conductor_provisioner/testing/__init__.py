"""For tests of provisioners: the API server's part in memory, in which a process can be stopped between any two steps."""

from conductor_provisioner.testing.calls import DirectCalls
from conductor_provisioner.testing.cluster import MemoryCluster
from conductor_provisioner.testing.drivers import OneDriver

__all__ = ["DirectCalls", "MemoryCluster", "OneDriver"]
