"""The code that turns a file into a model's input, as one file that runs without this package.

It is this package's own, module after module, so that what comes out is the same to the last bit.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from types import ModuleType

from tl_sweep.base import preprocessing
from tl_sweep.base.preprocessing import Preprocessing, Reading
from tl_sweep.data import fit
from tl_sweep.data.readers import contract, dicom, heif, jxl, pillow, registry, shades, tiff

MODULES = (preprocessing, contract, shades, pillow, heif, jxl, dicom, tiff, registry, fit)  # each after what it imports
OURS = "tl_sweep"
HEAD = '''"""From a picture's file to the input of the model beside this file:  python preprocess.py PICTURE INPUT.npy

    from preprocess import preprocess
    probabilities = model.eval()(preprocess("photo.jpg")).softmax(1)

Needs Pillow and numpy, torch for preprocess(), and for other files than Pillow's the package that an error names. The
code is that of the package that trained the model; how it was used then stands at the end.
"""

from __future__ import annotations

'''
TAIL = '''
PREPROCESSING = {preprocessing!r}
READING = {reading!r}


def input_of(path):
    """What the model sees of a picture, float32 (3, H, W)."""
    path = Path(path)
    image = read_image(path.read_bytes(), path.suffix.lower(), READING)
    square_CWW = as_square(image, PREPROCESSING)
    side_px = PREPROCESSING.image_px
    start = (square_CWW.shape[-1] - side_px) // 2
    pixels_CHW = square_CWW[:, start : start + side_px, start : start + side_px].astype(np.float32) / np.float32(255)
    mean_C11, std_C11 = (
        np.array(values, np.float32)[:, None, None] for values in (PREPROCESSING.mean, PREPROCESSING.std)
    )
    return (pixels_CHW - mean_C11) / std_C11


def preprocess(path):
    """The same as a batch of one: a tensor (1, 3, H, W)."""
    import torch

    return torch.from_numpy(input_of(path))[None]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("which picture, and where to? python preprocess.py PICTURE INPUT.npy")
    np.save(sys.argv[2], input_of(sys.argv[1]))
'''


def standalone_source(preprocessing: Preprocessing, reading: Reading) -> str:
    """Python code of a module with a function ``preprocess(path)`` that gives what ``predict`` shows to the model."""
    trees = [(module, inspect.getsource(module)) for module in MODULES]
    imports = {"import sys", "from pathlib import Path", *(line for _, text in trees for line in _imports(text))}
    bodies = [f"# --- {module.__name__}\n\n{_body(text)}" for module, text in trees]
    tail = TAIL.format(preprocessing=preprocessing, reading=reading)
    return HEAD + "\n".join(sorted(imports)) + "\n\n" + "\n\n\n".join(bodies) + "\n\n" + tail


def _imports(text: str) -> Iterator[str]:
    """What a module imports at its top from elsewhere."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import | ast.ImportFrom) and not _is_ours(node):
            yield ast.unparse(node)


def _body(text: str) -> str:
    """A module without its imports and its docstring."""
    nodes = ast.parse(text).body
    first = [node for node in nodes if isinstance(node, ast.Expr) and node is nodes[0]]
    dropped = {
        line
        for node in [*first, *(node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))]
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    kept = [line for number, line in enumerate(text.splitlines(), start=1) if number not in dropped]
    return "\n".join(kept).strip()


def _is_ours(node: ast.Import | ast.ImportFrom) -> bool:
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    return any(name.split(".")[0] in (OURS, "__future__") for name in names)


def names_defined(source: ModuleType | str) -> list[str]:
    """Of functions, classes and constants at the top of a module."""
    tree = ast.parse(source if isinstance(source, str) else inspect.getsource(source))
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.append(node.target.id)
    return names
