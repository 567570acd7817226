"""What an operator sets is what the bus is told; what nobody sets stays as it is."""

from __future__ import annotations

from datetime import timedelta

from conductor_bus import BusConfig


def test_without_settings_the_defaults_hold() -> None:
    assert BusConfig.from_environment({}) == BusConfig()


def test_tombstones_and_wakes_are_kept_as_long_as_is_said() -> None:
    config = BusConfig.from_environment(
        {"CONDUCTOR_BUS_TOMBSTONE_TTL": "60", "CONDUCTOR_BUS_WAKE_TTL": "120"}
    )
    assert (config.tombstone_ttl, config.wake_ttl) == (timedelta(minutes=1), timedelta(minutes=2))
