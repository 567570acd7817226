"""The suite, run as an author of a driver runs it, on the driver that the library brings along."""

from __future__ import annotations

import pytest

from conductor_provisioner.conformance import Conformance, Subject
from conductor_provisioner.conformance.reference import reference


class TestReference(Conformance):
    @pytest.fixture
    def subject(self) -> Subject:
        return reference()
