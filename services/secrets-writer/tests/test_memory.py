"""What a replica remembers of its own writes, and for how long."""

from __future__ import annotations

from conductor_model.concrete import Concrete, Credentials, Endpoint
from conductor_model.meta import ObjectMeta
from conductor_secrets_writer.memory import Inputs, RecentWrites


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def inputs(make_claim, revision: str = "7", **claim) -> Inputs:
    credentials = Credentials(secret_name="c", revision=revision)
    concrete = Concrete(
        api_version="x.example.com/v1", kind="Anything", metadata=ObjectMeta(uid="concrete-1")
    )
    return Inputs.of(make_claim(**claim), concrete, Endpoint(host="h", port=1), credentials)


def test_a_message_older_than_our_own_write_does_not_undo_it():
    recent = RecentWrites(Clock())
    recent.wrote("u", "10", b"ours")
    assert recent.newest("u", "9", b"theirs") == b"ours"


def test_a_newer_message_counts():
    recent = RecentWrites(Clock())
    recent.wrote("u", "10", b"ours")
    assert recent.newest("u", "11", b"theirs") == b"theirs"


def test_versions_that_are_no_numbers_are_never_compared():
    recent = RecentWrites(Clock())
    recent.wrote("u", "b", b"ours")
    assert recent.newest("u", "a", b"theirs") == b"theirs"


def test_the_echo_of_our_own_work_is_recognised(make_claim):
    recent = RecentWrites(Clock())
    recent.settled("u", inputs(make_claim))
    assert recent.published_from("u", inputs(make_claim))


def test_a_change_of_any_input_is_not_taken_for_an_echo(make_claim):
    recent = RecentWrites(Clock())
    recent.settled("u", inputs(make_claim))
    assert not recent.published_from("u", inputs(make_claim, revision="8"))
    assert not recent.published_from("u", inputs(make_claim, spec={"connection": {"secretName": "other"}}))
    asked = {"annotations": {"conductor.io/reconcile-requested-at": "now"}}
    assert not recent.published_from("u", inputs(make_claim, metadata=asked))


def test_a_status_write_means_that_not_all_is_done(make_claim):
    recent = RecentWrites(Clock())
    recent.settled("u", inputs(make_claim))
    recent.wrote("u", "10", b"ours")
    assert not recent.published_from("u", inputs(make_claim))


def test_everything_is_forgotten_after_half_a_minute(make_claim):
    clock = Clock()
    recent = RecentWrites(clock)
    recent.wrote("u", "10", b"ours")
    recent.settled("u", inputs(make_claim))
    clock.now = 31.0
    assert recent.newest("u", "9", b"theirs") == b"theirs"
    assert not recent.published_from("u", inputs(make_claim))
