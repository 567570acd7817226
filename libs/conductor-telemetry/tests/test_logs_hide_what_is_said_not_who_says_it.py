"""Redaction of console logs."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from conductor_telemetry import logs


@pytest.fixture(autouse=True)
def root_logger_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_loggers_name_is_not_taken_for_the_name_of_a_secret(capsys: pytest.CaptureFixture[str]):
    logs.configure("secrets-writer", form="console", level="info")
    logging.getLogger("conductor_secrets_writer.handle").info("MySQLInstance shop/orders: Ready")
    assert "conductor_secrets_writer.handle: MySQLInstance shop/orders: Ready" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_service_that_is_called_like_a_secret_may_be_named_at_a_lines_beginning(
    capsys: pytest.CaptureFixture[str], form: str
):
    logs.configure("secrets-writer", form=form, level="info")
    logging.getLogger("conductor_bus.workqueue").info("secrets-writer: Secret shop/db is tried again")
    assert "secrets-writer: Secret shop/db is tried again" in capsys.readouterr().err


def test_a_password_in_a_message_or_an_exception_is_hidden(capsys: pytest.CaptureFixture[str]):
    logs.configure("x", form="console", level="info")
    try:
        raise ValueError("password: hunter2")
    except ValueError:
        logging.getLogger("x").exception("uri is mysql://root:hunter2@db:3306/mysql")
    written = capsys.readouterr().err
    assert "ValueError" in written
    assert "hunter2" not in written
