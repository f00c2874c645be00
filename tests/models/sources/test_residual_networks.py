"""Our own networks as a backbone source; what they compute is tested in tests/models/test_residual.py."""

from __future__ import annotations

from typing import Any

import pytest
from backbone_source_contract import BackboneSourceContract

from tl_sweep.config.schema import ModelConfig
from tl_sweep.models.catalog import architecture_label
from tl_sweep.models.sources.residual_networks import RESIDUAL_NETWORKS
from tl_sweep.models.stages import StagedModel

CONFIGS = [
    ModelConfig(name="resnet_small"),
    ModelConfig(name="residual", depth=20),
    ModelConfig(name="residual", depth=18, norm="group"),
    ModelConfig(name="residual", depth=8, norm="none", residual=False),
]


class TestResidualNetworks(BackboneSourceContract):
    source = RESIDUAL_NETWORKS

    @pytest.fixture(scope="class", params=CONFIGS, ids=architecture_label)
    def config(self, request: pytest.FixtureRequest) -> ModelConfig:
        return request.param

    def test_there_are_four_or_five_stages(self, original: StagedModel) -> None:
        assert 4 <= original.num_stages <= 5

    def test_a_network_that_somebody_else_built_is_recognised(self, original: StagedModel) -> None:
        assert RESIDUAL_NETWORKS.recognise(original.module) is not None


@pytest.mark.parametrize(
    ("values", "label"),
    [
        ({"name": "resnet18"}, "resnet18"),
        ({"name": "resnet_small"}, "resnet_small"),
        ({"name": "residual", "depth": 56}, "residual56"),
        ({"name": "residual", "depth": 56, "residual": False}, "plain56"),
        ({"name": "residual", "depth": 20, "norm": "group"}, "residual20-group"),
        ({"name": "residual", "depth": 20, "norm": "none", "residual": False}, "plain20-nonorm"),
        ({"name": "resnet_small", "norm": "group"}, "resnet_small-group"),
    ],
    ids=lambda value: value if isinstance(value, str) else "named",
)
def test_architectures_have_short_labels(values: dict[str, Any], label: str) -> None:
    assert architecture_label(ModelConfig(**values)) == label
