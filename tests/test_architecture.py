"""The plan of the house: which room a module is in, what it may import, and that no import goes in a circle.

Every import counts: at the top, inside functions, and under ``TYPE_CHECKING``.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import fields
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tl_sweep.comparison.study import Row
from tl_sweep.tracking.names import Metric, Tag

ROOT = Path(__file__).parents[1]
# A room may import from rooms of a smaller number, and from itself.
FLOORS = {
    "base": 0,
    "config": 1,
    "array_store": 1,
    "models": 2,
    "data": 2,
    "tracking": 2,
    "training": 3,
    "comparison": 3,
    "run": 4,
    "report": 4,
    "sweep": 5,
    "launch": 5,
    "top": 6,
}
COMMANDS = {
    "train",
    "plan",
    "compare",
    "confirm",
    "sync",
    "reproduce",
    "predict",
    "export",
    "features",
    "cache",
    "letters",
}
PACKAGES_AS_COMMANDS = {"tl_sweep.data.__main__"}  # python -m tl_sweep.data: the room and the command have one name
TOP_LEVEL = {"__init__", "textbook", *COMMANDS}
NEVER = {
    "report": {"models", "data", "training"},  # it shows a Study and computes nothing
    "comparison": {"models", "data", "training"},
}
ONLY = {  # a package, and the rooms that may import it
    "mlflow": {"tracking"},
    "ray": {"launch"},
    "submitit": {"launch"},
    "multiprocessing": {"launch"},
    "hydra": {"config", "launch", "sweep", "top"},
    "omegaconf": {"config", "launch", "sweep", "top"},
}
SLOW_TO_IMPORT = {"torch", "torchvision", "mlflow", "torchmetrics", "sklearn", "pandas", "matplotlib"}
LARGEST_SHARE = 0.25  # of all lines, that one room may have
MOST_LINES = 300
OVER_MOST_LINES = {"tl_sweep.config.schema": "every key with its help and rules: a table, read as one"}  # and why


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Nothing here computes: torch stays unimported."""


def source_files() -> list[Path]:
    return sorted([*(ROOT / "tl_sweep").rglob("*.py"), *(ROOT / "hydra_plugins").rglob("*.py")])


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


SOURCES = {module_name(path): path.read_text() for path in source_files()}
MODULES = {name: ast.parse(text) for name, text in SOURCES.items()}


def imported(tree: ast.AST) -> set[str]:
    """Dotted names of all modules that are imported anywhere in ``tree``; ``from a import b`` counts as ``a.b`` where
    that is a module."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide their direction"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= inside & MODULES.keys() or {str(node.module)}
    return names


def ours(names: Iterable[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] in ("tl_sweep", "hydra_plugins")}


GRAPH = {name: ours(imported(tree)) - {name} for name, tree in MODULES.items()}


def room(module: str) -> str:
    parts = module.split(".")
    if module in PACKAGES_AS_COMMANDS:
        return "top"
    return parts[1] if len(parts) > 1 and parts[0] == "tl_sweep" and parts[1] in FLOORS else "top"


def packages(module: str) -> set[str]:
    return {name.split(".")[0] for name in imported(MODULES[module])}


def test_the_top_level_is_commands_and_the_python_api() -> None:
    assert {path.stem for path in (ROOT / "tl_sweep").glob("*.py")} == TOP_LEVEL


def test_every_room_is_named() -> None:
    folders = {path.parent.name for path in (ROOT / "tl_sweep").glob("*/__init__.py")}
    assert folders == FLOORS.keys() - {"top"}


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module: str) -> None:
    mine = room(module)
    upward = {name for name in GRAPH[module] if room(name) != mine and FLOORS[room(name)] >= FLOORS[mine]}
    assert upward == set()
    assert {name for name in GRAPH[module] if room(name) in NEVER.get(mine, ())} == set()


def test_no_circle_of_imports() -> None:
    list(TopologicalSorter(GRAPH).static_order())  # raises CycleError, which names the circle


@pytest.mark.parametrize("package", ONLY)
def test_a_package_stays_in_its_rooms(package: str) -> None:
    users = {room(module) for module in MODULES if package in packages(module)}
    assert users <= ONLY[package]
    assert users, "the rule guards nothing"


def private_imports(module: str) -> Iterator[str]:
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.name.startswith("_"))


@pytest.mark.parametrize("module", MODULES)
def test_what_is_private_stays_in_its_module(module: str) -> None:
    assert {name for name in private_imports(module) if not name.startswith("__future__")} == set()


def distribution_name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def test_third_party_imports_are_the_declared_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [item for name, items in project["optional-dependencies"].items() if name != "dev" for item in items]
    of_module = packages_distributions()
    used = {
        package
        for module in MODULES
        for package in packages(module)
        if package not in (*sys.stdlib_module_names, "tl_sweep", "hydra_plugins")
    }
    provided = {name: {d.lower().replace("_", "-") for d in of_module.get(name, [name])} for name in used}
    core = set(map(distribution_name, project["dependencies"]))
    optional = set(map(distribution_name, extras))
    assert {name for name, dists in provided.items() if not dists & (core | optional)} == set(), "used, not declared"
    assert core - set().union(*provided.values()) == set(), "declared, not used"


def writes_requires_grad(tree: ast.Module) -> bool:
    return any(
        (isinstance(node, ast.Attribute) and node.attr == "requires_grad_")
        or (isinstance(node, ast.Attribute) and node.attr == "requires_grad" and isinstance(node.ctx, ast.Store))
        or (isinstance(node, ast.keyword) and node.arg == "requires_grad")
        for node in ast.walk(tree)
    )


def test_only_one_module_decides_what_learns() -> None:
    assert [module for module, tree in MODULES.items() if writes_requires_grad(tree)] == ["tl_sweep.training.freeze"]


def calls(tree: ast.AST, names: set[str]) -> bool:
    return any(isinstance(node, ast.Call) and getattr(node.func, "id", "") in names for node in ast.walk(tree))


def test_only_one_module_names_a_column() -> None:
    makers = {"Column", "of_row", "share_of_row", "recorded", "compared"}
    found = {module for module, tree in MODULES.items() if calls(tree, makers)}
    assert found == {"tl_sweep.report.column", "tl_sweep.report.columns"}  # the first is how columns are made


NAMES = {text for names in (Metric, Tag) for name, text in vars(names).items() if name.isupper()}
ROW_FIELDS = {item.name for item in fields(Row)}  # some have the name of the metric that they are the mean of
DISTINCTIVE = {name for name in NAMES if re.search("[/._]", name)} - ROW_FIELDS
VOCABULARY = ROOT / "tl_sweep" / "tracking" / "names.py"
READS_TWO_VERSIONS = ROOT / "tools" / "same_results.py"  # one of them may spell the names otherwise
USERS = sorted(
    {
        path
        for folder in ("tl_sweep", "hydra_plugins", "benchmarks", "tools", "scripts")
        for path in (ROOT / folder).rglob("*.py")
    }
    - {VOCABULARY, READS_TWO_VERSIONS}
)


def names_spelled_in(tree: ast.AST) -> Iterator[str]:
    """Metrics and tags that are written as texts: a distinctive one anywhere, any where tags or metrics are looked up
    or given."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(str(text)) if text in DISTINCTIVE:
                yield text
            case ast.Subscript(value=holder, slice=ast.Constant(str(text))) if holds_names(holder):
                yield text
            case ast.Call(func=ast.Attribute(value=holder, attr="get"), args=[ast.Constant(str(text)), *_]):
                yield from [text] * holds_names(holder)
            case ast.Compare(left=ast.Constant(str(text)), comparators=[holder]) if holds_names(holder):
                yield text
            case ast.keyword(arg="tags" | "metrics", value=ast.Dict(keys=keys)):
                yield from (str(key.value) for key in keys if isinstance(key, ast.Constant))


def holds_names(node: ast.AST) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr in ("tags", "metrics")) or (
        isinstance(node, ast.Name) and node.id in ("tags", "metrics")
    )


@pytest.mark.parametrize("path", USERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_metrics_and_tags_are_spelled_in_one_place(path: Path) -> None:
    assert set(names_spelled_in(ast.parse(path.read_text()))) == set()


@pytest.mark.parametrize(
    "line",
    [
        "x = run.metrics['best/val_acc']",
        "x = {'data.fingerprint': 1}",
        "x = run.tags['key']",
        "x = tags.get('key', '')",
        "x = 'key' in run.tags",
        "record.append('tags', tags={'replaced': 'yes'})",
    ],
)
def test_a_name_that_is_spelled_elsewhere_is_found(line: str) -> None:
    assert list(names_spelled_in(ast.parse(line)))


def lines_of(module: str) -> int:
    return SOURCES[module].count("\n")


def test_no_room_is_over_a_quarter_of_the_code() -> None:
    sizes = dict.fromkeys(FLOORS, 0)
    for module in MODULES:
        sizes[room(module)] += lines_of(module)
    total = sum(sizes.values())
    assert {name: size / total for name, size in sizes.items() if size > LARGEST_SHARE * total} == {}


def test_long_files_have_a_reason() -> None:
    assert {module for module in MODULES if lines_of(module) > MOST_LINES} == OVER_MOST_LINES.keys()


EACH_HAS_ITS_OWN = {"main", "Arguments"}  # every command


def test_a_public_name_has_one_meaning() -> None:
    """A function or class that other modules may import is defined in one of them."""
    places: dict[str, list[str]] = {}
    for module, tree in MODULES.items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(module)
    twice = {name: modules for name, modules in places.items() if len(modules) > 1}
    assert twice.keys() - EACH_HAS_ITS_OWN == set(), twice
    assert twice.keys() >= EACH_HAS_ITS_OWN, "an exception that guards nothing"


def docstrings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""


def test_what_is_raised_is_a_block_of_the_docstring() -> None:
    """``Raises:``, then a line ``Error: when`` for each."""
    in_a_line = re.compile(r"\bRaises [A-Z]")
    assert [name for name, tree in MODULES.items() if any(map(in_a_line.search, docstrings(tree)))] == []


@pytest.mark.parametrize("module", ["tl_sweep", "tl_sweep.train", "tl_sweep.sweep.grid", "hydra_plugins.tl_sweep_grid"])
def test_what_answers_a_slip_imports_nothing_slow(module: str) -> None:
    code = f"import sys, {module}; print(sorted({SLOW_TO_IMPORT!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"
