"""Fixtures of the tests on data flow."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data_flow_tests.oracle import unpack_oracle


@pytest.fixture(scope="package")
def oracle(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_oracle(shared, tmp_path_factory.mktemp("oracle"))
