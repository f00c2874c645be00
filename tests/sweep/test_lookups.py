"""What a comparison measures on the machine where it is made."""

from __future__ import annotations

from collections.abc import Callable

import torch

from tl_sweep.config.schema import Config
from tl_sweep.sweep.lookups import inference_images_per_s


def test_the_speed_of_a_network_is_a_rate_and_leaves_the_threads_as_they_were(
    make_config: Callable[..., Config],
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert 1 < inference_images_per_s(make_config()) < 1e6
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
