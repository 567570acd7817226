"""Subjects: every object has one, no two objects share one, and it says which object it is."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conductor_bus.errors import MalformedMessage
from conductor_bus.subjects import Subjects, WakeSubject, decode_token, encode_token
from conductor_model.refs import GroupKind, ObjectKey

texts = st.text(max_size=30).filter(lambda text: text.encode(errors="ignore").decode() == text)
keys = st.builds(ObjectKey, st.builds(GroupKind, texts, texts), texts, texts)


@given(texts)
@example("")
@example("-")
@example("a.b")
@example("a_b")
@example("=2D")
def test_a_token_gives_back_its_text(text: str) -> None:
    assert decode_token(encode_token(text)) == text


@given(texts)
def test_a_token_is_one_that_nats_takes(text: str) -> None:
    token = encode_token(text)
    assert token
    assert not set(token) & set(" .*>\t\r\n")
    assert token.isascii()
    assert token.isprintable()


@given(keys)
def test_an_objects_subject_names_the_object(key: ObjectKey) -> None:
    assert Subjects().parse(Subjects().object(key)) == key


@given(keys, texts)
def test_a_wakes_subject_names_consumer_and_object(key: ObjectKey, consumer: str) -> None:
    assert Subjects("other").parse(Subjects("other").wake(consumer, key)) == WakeSubject(consumer, key)


@given(keys)
def test_the_partition_is_one_of_the_fixed_number(key: ObjectKey) -> None:
    partition = Subjects(partitions=16).object(key).split(".")[2]
    assert partition in {f"p{number:02d}" for number in range(16)}


def test_the_partition_of_an_object_never_changes() -> None:
    key = ObjectKey(GroupKind("storage.conductor.io", "MySQLInstance"), "team-a", "db.1")
    subject = "conductor.objects.p07.storage_conductor_io.MySQLInstance.team-a.db_1"
    assert Subjects().object(key) == subject


@pytest.mark.parametrize(
    "subject", ["conductor.objects.p01.a.b.c", "elsewhere.objects.p01.a.b.c.d", "conductor.x"]
)
def test_a_subject_that_names_no_object_is_malformed(subject: str) -> None:
    with pytest.raises(MalformedMessage):
        Subjects().parse(subject)


def test_a_token_of_broken_utf8_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        Subjects().parse("conductor.objects.p01.=FF.b.c.d")
