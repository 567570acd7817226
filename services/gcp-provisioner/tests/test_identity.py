"""Who we are to Google, and who is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.auth import impersonated_credentials
from google.auth.credentials import AnonymousCredentials
from google.oauth2 import service_account

from conductor_gcp_provisioner.identity import identity
from conductor_gcp_provisioner.settings import GoogleSettings, base_url, is_google
from conductor_provisioner.driver import SecretData
from conductor_provisioner.errors import Refused

ELSEWHERE = "http://127.0.0.1:8980"


@pytest.fixture(scope="module")
def key_file() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "project-of-the-key",
            "private_key_id": "1",
            "private_key": pem,
            "client_email": "robot@project-of-the-key.example",
            "token_uri": "https://oauth2.example/token",
        }
    )


@pytest.mark.parametrize(
    ("endpoint", "ours"),
    [
        (None, True),
        ("https://sqladmin.googleapis.com", True),
        ("https://sqladmin.googleapis.com/", True),
        ("http://sqladmin.googleapis.com", False),
        ("https://sqladmin.googleapis.com.example.org", False),
        ("https://evilgoogleapis.com", False),
        (ELSEWHERE, False),
    ],
)
def test_only_google_is_shown_ambient_credentials(
    endpoint: str | None, ours: bool, key_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key.json"
    file.write_text(key_file)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    assert is_google(endpoint) is ours
    who = identity(endpoint, None)
    assert isinstance(who.credentials, AnonymousCredentials) is not ours
    assert who.project == ("project-of-the-key" if ours else None)


def test_without_any_credentials_an_administrator_must_act(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    with pytest.raises(Refused, match=r"missing\.json"):
        identity(None, None)


@pytest.mark.parametrize("entry", ["key.json", "credentials.json"])
@pytest.mark.parametrize("endpoint", [None, ELSEWHERE])
def test_a_secret_s_key_is_used_wherever_the_api_is(key_file: str, entry: str, endpoint: str | None) -> None:
    who = identity(endpoint, SecretData({entry: key_file}))
    assert isinstance(who.credentials, service_account.Credentials)
    assert who.project == "project-of-the-key"


def test_another_service_account_can_be_become(key_file: str) -> None:
    who = identity(None, SecretData({"key.json": key_file}), "team@project-2.example")
    assert isinstance(who.credentials, impersonated_credentials.Credentials)
    assert who.credentials.service_account_email == "team@project-2.example"


@pytest.mark.parametrize(
    "entries",
    [
        {},
        {"username": "x"},
        {"key.json": "no JSON s3cret"},
        {"key.json": '["s3cret"]'},
        {"key.json": '{"type": "service_account", "private_key": "s3cret"}'},
        {"key.json": '{"type": "unheard-of-s3cret"}'},
        {"key.json": '{"type": "external_account", "credential_source": {"file": "s3cret"}}'},
        {"key.json": '{"type": "authorized_user", "refresh_token": "s3cret"}'},
    ],
)
def test_a_secret_that_is_no_credential_is_refused_without_quoting_it(entries: dict[str, str]) -> None:
    with pytest.raises(Refused) as caught:
        identity(None, SecretData(entries))
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_environment_says_where_google_is() -> None:
    environ = {"GOOGLE_CLOUD_PROJECT": "theirs", "CONDUCTOR_GCP_ENDPOINT": ELSEWHERE}
    assert GoogleSettings.from_environment(environ) == GoogleSettings(project="theirs", endpoint=ELSEWHERE)
    assert GoogleSettings.from_environment({**environ, "CONDUCTOR_GCP_PROJECT": "ours"}).project == "ours"
    assert GoogleSettings.from_environment({}) == GoogleSettings()


@pytest.mark.parametrize("written", ["", "/", "/v1", "/v1/"])
def test_an_endpoint_may_be_written_with_its_version(written: str) -> None:
    assert base_url(f"{ELSEWHERE}{written}") == ELSEWHERE
