"""Provisions Cloud SQL instances through the Cloud SQL Admin API.

``decide`` says what an instance is to be and what of it is not so, ``driver`` does what the managed reconciler asks for,
``admin`` makes the calls, as whom ``identity`` says. The life cycle is ``conductor_provisioner.managed``'s.
"""

VERSION = "0.1.0"
