"""BatchNorm lent to a network without: the same function once it is folded away, under the authors' own names."""

from __future__ import annotations

import pytest
import torch

from tl_sweep.config.schema import ModelConfig
from tl_sweep.models.build import build_model
from tl_sweep.models.folding import folded, with_batch_norm
from tl_sweep.models.stages import StagedModel
from tl_sweep.training.freeze import has_norm_layers


@pytest.fixture(params=["vgg11", "squeezenet1_1", "alexnet"])
def model(request: pytest.FixtureRequest) -> StagedModel:
    torch.manual_seed(0)
    config = ModelConfig(name=request.param)
    return build_model(config, 3, 64, weights=None, pooled=True, head_seed=0)


def test_folding_gives_the_same_function_and_names(model: StagedModel) -> None:
    names, images_BCHW = list(model.module.state_dict()), torch.randn(4, 3, 64, 64)
    lent = with_batch_norm(model)
    for _ in range(3):
        lent.module.train()
        lent(2 * images_BCHW + 1)  # statistics that are not those of a fresh layer
    for layer in lent.module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 2)
            torch.nn.init.uniform_(layer.bias, -1, 1)
    lent.module.eval()
    with torch.no_grad():
        before_BK = lent(images_BCHW)
        plain = folded(lent)
        after_BK = plain(images_BCHW)
    assert list(plain.module.state_dict()) == names
    assert not has_norm_layers(plain.module)
    torch.testing.assert_close(after_BK, before_BK, rtol=1e-4, atol=1e-4 * before_BK.abs().max().item())


def test_lent_layers_belong_to_their_convolutions_stage(model: StagedModel) -> None:
    before = [len(model.stage_parameters(stage)) for stage in range(model.num_stages)]
    lent = with_batch_norm(model)
    convolutions = [sum(p.ndim == 4 for p in lent.stage_parameters(k).values()) for k in range(lent.num_stages)]
    after = [len(lent.stage_parameters(stage)) for stage in range(lent.num_stages)]
    assert after == [number + 2 * layers for number, layers in zip(before, convolutions, strict=True)]
