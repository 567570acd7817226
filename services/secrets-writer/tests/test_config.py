"""Settings from the environment."""

from __future__ import annotations

import pytest

from conductor_secrets_writer.config import Settings


def test_everything_has_a_default():
    assert Settings.from_environment({}) == Settings()


def test_variables_are_named_after_the_settings():
    given = Settings.from_environment({"CONDUCTOR_SECRETS_WRITER_RESYNC": "5", "OTHER": "x"})
    assert given == Settings(resync=5.0)


@pytest.mark.parametrize("nonsense", ["soon", "-1", "nan", "inf"])
def test_a_variable_that_makes_no_sense_is_named(nonsense):
    with pytest.raises(ValueError, match="CONDUCTOR_SECRETS_WRITER_GRACE"):
        Settings.from_environment({"CONDUCTOR_SECRETS_WRITER_GRACE": nonsense})
