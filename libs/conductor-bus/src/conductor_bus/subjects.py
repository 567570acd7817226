"""Subjects: how an object's place in the API becomes a NATS subject, and back.

``<prefix>.objects.<partition>.<group>.<kind>.<namespace>.<name>`` carries the object's last state,
``<prefix>.wake.<consumer>.…same tokens`` asks a consumer to look at it again,
``<prefix>.schedule.<consumer>.…same tokens`` holds the timer that will publish that wake.

The encoding of a token is injective, so two objects never share a subject: ``.`` becomes ``_``, other characters
outside ``[A-Za-z0-9-]`` become ``=XX`` (hex of their UTF-8), and the empty string (the core group, no namespace)
is ``-``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from conductor_bus.errors import MalformedMessage
from conductor_model.refs import GroupKind, ObjectKey

_SPECIAL = re.compile(r"[^A-Za-z0-9-]")
_ESCAPE = re.compile(rb"=([0-9A-F]{2})")
_EMPTY = "-"
_OBJECT_TOKENS = 5
"""Partition, group, kind, namespace, name: the tail that all subjects of an object share."""


def encode_token(text: str) -> str:
    """One subject token for any text."""
    if text == "":
        return _EMPTY
    if text == _EMPTY:
        return "=2D"
    return _SPECIAL.sub(_encode_character, text)


def decode_token(token: str) -> str:
    """The text that `encode_token` made this token from."""
    if token == _EMPTY:
        return ""
    raw = token.replace("_", ".").encode()
    return _ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()), raw).decode()


def _encode_character(found: re.Match[str]) -> str:
    character = found[0]
    return "_" if character == "." else "".join(f"={byte:02X}" for byte in character.encode())


@dataclass(frozen=True, slots=True)
class WakeSubject:
    """What a wake's subject says: which consumer is to look at which object."""

    consumer: str
    key: ObjectKey


@dataclass(frozen=True, slots=True)
class Subjects:
    """The subjects of one installation, told apart from others on the same broker by ``prefix``."""

    prefix: str = "conductor"
    partitions: int = 16

    def all_of_stream(self) -> list[str]:
        return [f"{self.prefix}.objects.>", f"{self.prefix}.wake.>", f"{self.prefix}.schedule.>"]

    def all_dead_letters(self) -> str:
        return f"{self.prefix}.dead.>"

    def all_locks(self) -> str:
        return f"{self.prefix}.lock.>"

    def object(self, key: ObjectKey) -> str:
        return f"{self.prefix}.objects.{self._tokens(key)}"

    def objects_of(self, kinds: Iterable[GroupKind]) -> list[str]:
        """Filters that match the objects of these kinds and no others, in a fixed order."""
        return [
            f"{self.prefix}.objects.*.{encode_token(kind.group)}.{encode_token(kind.kind)}.>"
            for kind in sorted(set(kinds))
        ]

    def wake(self, consumer: str, key: ObjectKey) -> str:
        return f"{self.prefix}.wake.{encode_token(consumer)}.{self._tokens(key)}"

    def wakes_of(self, consumer: str) -> str:
        return f"{self.prefix}.wake.{encode_token(consumer)}.>"

    def schedule(self, consumer: str, key: ObjectKey) -> str:
        return f"{self.prefix}.schedule.{encode_token(consumer)}.{self._tokens(key)}"

    def dead_letter(self, consumer: str, subject: str) -> str:
        """Where a message of ``subject`` goes that ``consumer`` gave up on."""
        tail = subject.removeprefix(f"{self.prefix}.")
        return f"{self.prefix}.dead.{encode_token(consumer)}.{tail}"

    def dead_letters_of(self, consumer: str) -> str:
        return f"{self.prefix}.dead.{encode_token(consumer)}.>"

    def lock(self, consumer: str, key: ObjectKey) -> str:
        return f"{self.prefix}.lock.{encode_token(consumer)}.{self._tokens(key)}"

    def parse(self, subject: str) -> ObjectKey | WakeSubject:
        """What an object's or a wake's subject names.

        Raises:
            MalformedMessage: the subject is neither.
        """
        try:
            space, *tokens = subject.removeprefix(f"{self.prefix}.").split(".")
            if space == "objects" and len(tokens) == _OBJECT_TOKENS:
                return self._key(tokens)
            if space == "wake" and len(tokens) == _OBJECT_TOKENS + 1:
                return WakeSubject(decode_token(tokens[0]), self._key(tokens[1:]))
        except UnicodeDecodeError as error:
            raise MalformedMessage(f"subject {subject} is not encoded as the bus encodes") from error
        raise MalformedMessage(f"subject {subject} names no object")

    def _tokens(self, key: ObjectKey) -> str:
        kind = key.group_kind
        encoded = ".".join(encode_token(part) for part in (kind.group, kind.kind, key.namespace, key.name))
        return f"{self._partition(encoded)}.{encoded}"

    def _partition(self, encoded: str) -> str:
        digest = hashlib.blake2b(encoded.encode(), digest_size=8).digest()
        return f"p{int.from_bytes(digest, 'big') % self.partitions:02d}"

    @staticmethod
    def _key(tokens: list[str]) -> ObjectKey:
        _partition, group, kind, namespace, name = (decode_token(token) for token in tokens)
        return ObjectKey(GroupKind(group, kind), namespace, name)
