"""Train the embedded source: glyphs of three alphabets that stand in for ImageNet where there is no network.

    python -m tl_sweep.letters [source=letters_clean]

makes the weights that the package ships (once with source=letters, once with source=letters_clean). A sweep with
model.weights=letters on another backbone trains that backbone once, by the same recipe, and keeps it in weights.dir.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tl_sweep.base.arguments import argument, read
from tl_sweep.base.command_line import errors_for_people
from tl_sweep.config.arguments import config_argument
from tl_sweep.config.loading import compose
from tl_sweep.models.catalog import architecture_label
from tl_sweep.models.weights.resolve import EMBEDDED, SHIPPED
from tl_sweep.run.letters import source_config, train_source


@dataclass(frozen=True)
class Arguments:
    model: str = argument(SHIPPED, "the backbone, an option of conf/model")
    source: str = argument("letters", "what it learns to tell apart", choices=EMBEDDED)
    seed: int = config_argument("seed")
    out: Path = argument(Path(__file__).parent / "weights", "the folder to write to", folder=True)


def main() -> None:
    with errors_for_people():
        arguments = read(Arguments, sys.argv[1:], __doc__)
        config = compose(
            {
                "freeze": "scratch",
                "data": arguments.source,
                "augment": "none",
                "optim": "auto",
                "model": arguments.model,
            },
            {},
        )
        name = f"{arguments.source}-{architecture_label(config.model)}.safetensors"
        train_source(source_config(config, arguments.source, arguments.seed), arguments.out / name)


if __name__ == "__main__":
    main()
