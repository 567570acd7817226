"""Nothing that looks like a secret gets through, and what does not look like one stays readable."""

import subprocess
import sys

import pytest

from conductor_model.redaction import redact

SECRET = "s3cr3t-Value"


@pytest.mark.parametrize(
    "text",
    [
        f"mysql://admin:{SECRET}@db.example:3306/app",
        f"nats://token-{SECRET}@broker:4222",
        f"password={SECRET}",
        f"password: {SECRET}",
        f"'masterUserPassword': '{SECRET}', 'x': 1",
        f'{{"MasterUserPassword": "{SECRET} with \\" quote {SECRET}"}}',
        f"AWS_SECRET_ACCESS_KEY={SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"sent bearer {SECRET}.{SECRET}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}",
        f"value is not valid [type=int, input_value='{SECRET}', input_type=str]",
        f"eyJhbGciOiJub25lIn0.{SECRET}.{SECRET}",
        f"id-eyJhbGciOiJub25lIn0.{SECRET}.{SECRET}",
        f"secrets-writer: password={SECRET}",
        f"users: secrets-writer: {SECRET}",
        f"{'x' * 500}_password={SECRET}",
        f"-mysql://admin:{SECRET}@db",
        f"input_value='{SECRET}",
    ],
)
def test_secrets_are_masked(text: str) -> None:
    assert SECRET not in redact(text)
    assert "[redacted]" in redact(text)


def test_an_aws_key_id_is_masked() -> None:
    assert redact("key AKIAIOSFODNN7EXAMPLE was refused") == "key [redacted] was refused"


@pytest.mark.parametrize(
    "text",
    [
        "0/3 fit: rds-small: capacity.storage 20Gi < 25Gi",
        "Secret team-a/db is not ours",
        "PATCH rdsinstances conductor-system/x: conflict",
        "https://kubernetes.default.svc/api/v1/namespaces",
        "12:30:05 INFO scheduler: bound team-a/db to rds-1",
        "secrets-writer: MySQLInstance.storage.conductor.io team-a/db is tried again: Transient",
        "conductor-secrets-writer: MySQLInstance.storage.conductor.io team-a/db failed unexpectedly: KeyError",
    ],
)
def test_ordinary_texts_are_left_alone(text: str) -> None:
    assert redact(text) == text


def test_what_surrounds_a_secret_stays() -> None:
    assert redact(f"connecting to mysql://admin:{SECRET}@db:3306/app failed") == (
        "connecting to mysql://[redacted]@db:3306/app failed"
    )


HOSTILE = (
    *(
        "a",
        "a.",
        "a:",
        "a://",
        "secret",
        "secret-",
        "secret ",
        "secret='",
        'secret="\\',
        "eyJ-",
        "eyJa.",
        "basic ",
    ),
    *("input_value=", "-----BEGIN A", "-----BEGIN A-----", "-----END A", " ", "\\"),
)


def test_no_text_takes_long() -> None:
    """A pattern that tries again from each character takes minutes for such texts, one that goes over them once takes
    milliseconds. In a process of its own, for nothing interrupts a regular expression."""
    program = (
        "from conductor_model.redaction import redact\n"
        f"for each in {HOSTILE!r}: print(repr(each), flush=True); redact(each * 40_000)"
    )
    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)
