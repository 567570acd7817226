"""The suite as a test class: one test for each check.

::

    from conductor_provisioner.conformance import Conformance, Subject

    class TestDirectories(Conformance):
        @pytest.fixture
        def subject(self, tmp_path) -> Subject:
            return Subject(driver="filesystem", ...)
"""

from __future__ import annotations

import pytest

from conductor_provisioner.conformance.checks import CHECKS, Effort
from conductor_provisioner.conformance.plugin import FOUND
from conductor_provisioner.conformance.subject import NotSimulated, Subject


class Conformance:
    """Subclass it under a name that pytest collects, and give it a fixture ``subject``, synchronous or not."""

    @pytest.mark.conformance
    @pytest.mark.asyncio
    @pytest.mark.parametrize("check", CHECKS)
    async def test_it_keeps_the_promise_of(
        self,
        check: str,
        subject: Subject,
        conformance_effort: Effort,
        request: pytest.FixtureRequest,
    ) -> None:
        try:
            request.node.stash[FOUND] = await CHECKS[check](subject, conformance_effort)
        except NotSimulated as reason:
            pytest.skip(str(reason))
