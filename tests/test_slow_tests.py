"""The list of slow tests names tests that exist."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import SLOW_TESTS


def test_every_listed_test_exists():
    """By module and function; a stale parameter would only make a test run again."""
    for node_id in SLOW_TESTS.read_text().splitlines():
        module, _, name = node_id.partition("::")
        source = (Path(__file__).parents[1] / module).read_text()
        assert f"def {name.partition('[')[0]}(" in source, node_id
