"""Write a finished run's model for plain torchvision:

    python -m tl_sweep.export run=best [out=exported]

leaves model.pth (a full state dict), classes.json, preprocessing.json and preprocess.py (from a picture's file to the
model's input, as in training) in the folder `out`, and prints the lines that load them without this package.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from tl_sweep.base.arguments import argument, read
from tl_sweep.base.atomic_files import atomic_write
from tl_sweep.base.command_line import errors_for_people
from tl_sweep.base.errors import UserError
from tl_sweep.run.which import Places, RunArguments, which_run


@dataclass(frozen=True)
class Arguments(RunArguments):
    out: Path = argument(Path("exported"), "the folder to write to", folder=True)


def export(text: str, places: Places, folder: Path) -> str:
    """Write the four files; returns Python code that rebuilds the model from them.

    Raises:
        UserError: no such run (``text``: see ``tl_sweep.run.which``), or the weights that it started from are gone.
    """
    import torch

    from tl_sweep.data.standalone import standalone_source
    from tl_sweep.run.finished import checkpoint_of
    from tl_sweep.training.checkpoint import restore

    checkpoint = checkpoint_of(which_run(text, places), places)
    model = restore(checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    described = checkpoint.preprocessing.described() | {"working_px": checkpoint.preprocessing.working_px}
    reading = checkpoint.reading.described()
    with atomic_write(folder / "model.pth") as path, path.open("wb") as file:
        torch.save(model.module.state_dict(), file)
    with atomic_write(folder / "classes.json") as path:
        path.write_text(json.dumps(checkpoint.class_names, ensure_ascii=False))
    with atomic_write(folder / "preprocessing.json") as path:
        path.write_text(json.dumps(described | ({"reading": reading} if reading else {})))
    with atomic_write(folder / "preprocess.py") as path:
        path.write_text(standalone_source(checkpoint.preprocessing, checkpoint.reading), encoding="utf-8")
    package = model.recipe.constructor.partition("(")[0].rpartition(".")[0]
    return "\n".join(
        [
            f"import torch, {package}",
            "from torch import nn",
            f"model = {model.recipe.constructor}",
            model.head_recipe(len(checkpoint.class_names)),
            f'model.load_state_dict(torch.load("{folder / "model.pth"}", weights_only=True))',
            f'import sys; sys.path.append("{folder}")',
            "from preprocess import preprocess  # model.eval()(preprocess('photo.jpg')).softmax(1)",
        ]
    )


def main() -> None:
    with errors_for_people():
        arguments = read(Arguments, sys.argv[1:], __doc__)
        if not arguments.run:
            raise UserError("which run? python -m tl_sweep.export run=best [out=folder]")
        print(export(arguments.run, arguments.places, arguments.out))


if __name__ == "__main__":
    main()
