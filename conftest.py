"""Real parts for every test of the workspace: see conductor_dev.pytest_plugin."""

import pytest

pytest_plugins = ["conductor_dev.pytest_plugin"]

STARTS_A_PROCESS = {
    "broker",
    "broker_in",
    "control_plane",
    "environment",
    "mariadb",
    "moto",
    "nats_server",
    "postgres",
    "run_probe",
    "server",
}
"""Fixtures: what needs one of them, however indirectly, is an integration test, whether or not it says so."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if STARTS_A_PROCESS & set(getattr(item, "fixturenames", ())):
            item.add_marker("integration")
