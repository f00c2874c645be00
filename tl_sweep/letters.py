"""Train the embedded source: glyphs of three alphabets that stand in for ImageNet where there is no network.

    python -m tl_sweep.letters [model=resnet_small] [source=letters] [seed=0] [out=tl_sweep/weights]

makes the weights that the package ships (once with source=letters, once with source=letters_clean). A sweep with
model.weights=letters on another backbone trains that backbone once, by the same recipe, and keeps it in weights.dir.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tl_sweep.base.command_line import errors_for_people, read_arguments
from tl_sweep.base.errors import UserError
from tl_sweep.config.loading import compose
from tl_sweep.models.catalog import SMALL, architecture_label
from tl_sweep.models.weights.resolve import EMBEDDED
from tl_sweep.run.letters import source_config, train_source

DEFAULTS = {"model": SMALL, "source": "letters", "seed": "0", "out": str(Path(__file__).parent / "weights")}


def main() -> None:
    with errors_for_people():
        values, others = read_arguments(sys.argv[1:], DEFAULTS, __doc__)
        if others or values["source"] not in EMBEDDED or not values["seed"].isdigit():
            raise UserError(
                "usage: python -m tl_sweep.letters [model=resnet_small] [source=letters|letters_clean] [seed=0]"
            )
        config = compose(
            {
                "freeze": "scratch",
                "data": values["source"],
                "augment": "none",
                "optim": "auto",
                "model": values["model"],
            },
            {},
        )
        name = f"{values['source']}-{architecture_label(config.model)}.safetensors"
        train_source(source_config(config, values["source"], int(values["seed"])), Path(values["out"]) / name)


if __name__ == "__main__":
    main()
