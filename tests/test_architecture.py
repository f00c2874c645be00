"""Imports run one way, and what costs seconds to import is imported late."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A room may import from rooms of a smaller number, and from itself. What is not named here is a command.
FLOORS = {
    "tl_sweep.base.errors": 0,
    "tl_sweep.config.schema": 1,
    "tl_sweep.array_store.store": 1,
    "tl_sweep.models": 2,
    "tl_sweep.data": 2,
    "tl_sweep.training": 3,
    "tl_sweep.tracking": 3,
    "tl_sweep.report": 4,  # reads what tracking kept
}
COMMANDS = 5
READ_OVERRIDES = {"tl_sweep.config.schema", "tl_sweep.train", "tl_sweep.sweep.grid", "tl_sweep.config.override_errors"}
SLOW_TO_IMPORT = {"torch", "torchvision", "mlflow", "torchmetrics", "sklearn", "pandas", "matplotlib"}


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Nothing here computes: torch stays unimported."""


def source_files() -> list[Path]:
    return sorted([*(ROOT / "tl_sweep").rglob("*.py"), *(ROOT / "hydra_plugins").rglob("*.py")])


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): ast.parse(path.read_text()) for path in source_files()}


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    """Dotted names of the modules that are imported; ``from a import b`` counts as ``a.b`` where that is a module."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide their direction"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= inside & MODULES.keys() or {str(node.module)}
    return names


def at_top(tree: ast.Module) -> Iterator[ast.AST]:
    """What runs when the module is imported, without ``if TYPE_CHECKING`` and without the insides of functions."""
    for node in tree.body:
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.If)):
            yield from ast.walk(node)


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] in ("tl_sweep", "hydra_plugins")}


def room(module: str) -> str:
    return next((room for room in FLOORS if module == room or module.startswith(f"{room}.")), "commands")


def floor(module: str) -> int:
    return FLOORS.get(room(module), COMMANDS)


def packages(module: str) -> set[str]:
    return {name.split(".")[0] for name in imported(ast.walk(MODULES[module]))}


def test_every_room_is_there() -> None:
    assert {room(module) for module in MODULES} == {*FLOORS, "commands"}


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module: str) -> None:
    upward = {
        name
        for name in ours(imported(ast.walk(MODULES[module])))
        if room(name) != room(module) and floor(name) >= floor(module)
    }
    assert upward == set()


def test_no_cycles_when_modules_are_imported() -> None:
    graph = {module: ours(imported(at_top(tree))) - {module} for module, tree in MODULES.items()}
    assert len(list(TopologicalSorter(graph).static_order())) >= len(MODULES)  # raises CycleError


def test_only_tracking_imports_mlflow() -> None:
    assert {room(module) for module in MODULES if "mlflow" in packages(module)} == {"tl_sweep.tracking"}


def test_only_configuration_and_commands_import_hydra() -> None:
    users = {module for module in MODULES if {"hydra", "omegaconf"} & packages(module)}
    assert {module for module in users if not module.startswith("hydra_plugins.")} == READ_OVERRIDES


def writes_requires_grad(tree: ast.Module) -> bool:
    return any(
        (isinstance(node, ast.Attribute) and node.attr == "requires_grad_")
        or (isinstance(node, ast.Attribute) and node.attr == "requires_grad" and isinstance(node.ctx, ast.Store))
        or (isinstance(node, ast.keyword) and node.arg == "requires_grad")
        for node in ast.walk(tree)
    )


def test_only_one_module_decides_what_learns() -> None:
    assert [module for module, tree in MODULES.items() if writes_requires_grad(tree)] == ["tl_sweep.training.freeze"]


def test_no_module_is_a_drawer_for_everything() -> None:
    assert {module.rpartition(".")[2] for module in MODULES} & {"utils", "util", "helpers", "common", "misc"} == set()


@pytest.mark.parametrize(
    "module", ["tl_sweep", "tl_sweep.train", "tl_sweep.sweep.preflight", "hydra_plugins.tl_sweep_grid"]
)
def test_what_answers_a_slip_imports_nothing_slow(module: str) -> None:
    code = f"import sys, {module}; print(sorted({SLOW_TO_IMPORT!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"
