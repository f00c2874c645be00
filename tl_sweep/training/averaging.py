"""Exponential moving average of the tensors that learn (Polyak & Juditsky 1992; decay warm-up as in TensorFlow's)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


class WeightAverage:
    """Averages only what learns: averaging an unchanged float32 tensor is not the identity.

    parameters: by dotted name; buffers are not averaged, the model's own are used.
    decay: weight of the past per step, reached gradually: min(decay, (1 + step) / (10 + step)).
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self.parameters = list(parameters.values())
        self.averages = [parameter.detach().clone() for parameter in self.parameters]
        self.decay = decay
        self.step = 0

    @torch.no_grad()
    def update(self) -> None:
        self.step += 1
        weight = 1 - min(self.decay, (1 + self.step) / (10 + self.step))
        for average, parameter in zip(self.averages, self.parameters, strict=True):
            average.lerp_(parameter, weight)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the model computes with the averages."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step, "averages": self.averages}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        for mine, kept in zip(self.averages, state["averages"], strict=True):
            mine.copy_(kept)

    def _swap(self) -> None:
        for index, parameter in enumerate(self.parameters):
            parameter.data, self.averages[index] = self.averages[index], parameter.data
