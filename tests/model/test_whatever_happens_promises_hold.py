"""Whatever people do, whatever dies or is lost in between: the promises hold at every step, and all comes to rest.

`make test-unit` lives some histories, `make test-model HISTORIES=5000` many, and then breaks the services, one promise after
the other, to see that it would have been noticed.
"""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from conductor_provisioner.managed import ManagedReconciler
from conductor_scheduler import commit, decide, settle
from conductor_secrets_writer import decide as connections
from tests.model.histories import explore

HISTORIES = os.environ.get("CONDUCTOR_MODEL_HISTORIES")
UNTIL_NOTICED = 3000


@pytest.mark.timeout(0 if HISTORIES else 300)
def test_the_promises_hold_in_any_history(capsys: pytest.CaptureFixture[str]) -> None:
    began, worked = time.perf_counter(), time.process_time()
    lived = explore(int(HISTORIES or 40))
    seconds, busy = time.perf_counter() - began, time.process_time() - worked
    with capsys.disabled():
        print(f"\n{lived} histories in {seconds:.1f} s: {60 * lived / busy:.0f} in a minute of one core")


def _bind_late(patch: pytest.MonkeyPatch) -> None:
    """The scheduler: a deposed leader's late binding stands."""
    patch.setattr(decide, "_take_back", lambda *_: None)


def _bind_unprotected(patch: pytest.MonkeyPatch) -> None:
    """The scheduler: a bound resource has no finalizer."""
    patch.setattr(commit, "finalizers", lambda concrete, _: concrete.metadata.finalizers)


def _let_nothing_go(patch: pytest.MonkeyPatch) -> None:
    """The scheduler: what a claim that is gone had is not released."""
    patch.setattr(settle, "orphaned_refs", lambda *_: ())


def _go_without_looking(patch: pytest.MonkeyPatch) -> None:
    """The provisioner: an object is let go as soon as it is deleted."""

    async def unmake(reconciler: Any, round: Any) -> Any:
        return await reconciler._let_go(round, None, foreign=None)

    patch.setattr(ManagedReconciler, "_unmake", unmake)


def _never_publish(patch: pytest.MonkeyPatch) -> None:
    """The secrets-writer: no binding is ever confirmed."""
    patch.setattr(connections, "confirms", lambda *_: False)


@pytest.mark.skipif(HISTORIES is None, reason="make test-model")
@pytest.mark.timeout(0)
@pytest.mark.parametrize(
    "broken",
    [
        _bind_late,
        _bind_unprotected,
        _let_nothing_go,
        _go_without_looking,
        _never_publish,
    ],
)
def test_a_broken_service_is_noticed(broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch)
    with pytest.raises(Exception, match=r".") as noticed:
        explore(UNTIL_NOTICED, shrink=False)
    assert isinstance(noticed.value, AssertionError), noticed.value
