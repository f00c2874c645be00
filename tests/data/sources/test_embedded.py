"""Embedded sets keep the contract of a data source."""

from __future__ import annotations

import pytest
from data_source_contract import DataSourceContract

from tl_sweep.config.schema import DataConfig


class TestContract(DataSourceContract):
    @pytest.fixture(params=["digits", "letters", "letters_clean"])
    def config(self, request: pytest.FixtureRequest) -> DataConfig:
        return DataConfig(name=request.param)

    @pytest.fixture
    def impossible(self) -> None:
        """An embedded set is always there."""
