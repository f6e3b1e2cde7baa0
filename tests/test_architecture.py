"""The house rules that a machine can check: who imports whom, sizes, forbidden calls, docstrings.

Every rule is a function from a source text to a list of complaints. The tree must give none, and a
small text that breaks the rule must give at least one: a rule that cannot fail is no rule.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "nnft"
PYTHON_FILE_LINES = 400
MEDIAN_FILE_LINES = 160
FUNCTION_LINES = 50

BASE = {"errors", "spec", "streams", "blocks"}
READING = {  # the parts of the store that write nothing
    "store.reader",
    "store.points",
    "store.arrays",
    "store.verify",
    "store.analysis_content",
    "store.analysis_reader",
}
# room -> (rooms of nnft it may import, third-party packages it may import)
TABLE: dict[str, tuple[set[str], set[str]]] = {
    "errors": (set(), set()),
    "spec": ({"errors"}, {"numpy", "pydantic", "pydantic_core"}),
    "streams": ({"errors"}, {"numpy"}),
    "blocks": ({"errors"}, {"numpy"}),
    "_kernels": ({"errors"}, {"numpy", "numba", "llvmlite"}),
    "_kernels.fit": ({"errors"}, {"numpy", "mpmath"}),  # makes the tables of the C core; never imported
    "theory": (BASE | {"_kernels"}, {"numpy", "scipy"}),
    "samplers": (BASE | {"_kernels"}, {"numpy"}),
    "estimators": (BASE | {"_kernels"}, {"numpy", "scipy"}),
    "store": ({"errors", "spec", "blocks"}, {"numpy", "h5py"}),
    "actions": (BASE | {"theory", "estimators"} | READING, {"numpy", "scipy", "threadpoolctl"}),
    "flows": (BASE | {"theory", "estimators"} | READING, {"numpy", "scipy"}),
    "analysis": (
        BASE | {"theory", "estimators", "actions", "store.lock"} | READING,
        {"numpy", "scipy", "arviz_stats"},
    ),
    "plots": ({"errors", "estimators", "theory", "actions", "analysis"}, {"numpy", "matplotlib"}),
    "pipeline": (
        BASE | {"_kernels", "theory", "samplers", "estimators", "store", "actions", "flows", "analysis"}
        | {"plots"},
        {"numpy", "scipy", "threadpoolctl", "tqdm", "h5py", "jinja2"},  # h5py for its version
    ),
    "parallel": (
        BASE | {"_kernels", "theory", "samplers", "estimators", "store", "analysis", "pipeline"},
        {"numpy", "mpi4py"},
    ),
    "cli": ({"errors", "spec", "pipeline", "analysis", "actions", "flows", "plots"} | READING, {"click"}),
    "": ({"errors", "spec", "pipeline", "analysis", "actions"} | READING, set()),  # the front door
}
DRAWERS = {"utils", "util", "core", "helpers", "common", "misc", "tools"}
CREATOR = "nnft.store.atomic"  # the only module that may create HDF5 files


def module_name(path: Path) -> str:
    """Dotted name of a file of the package, e.g. ``nnft.spec.plan``."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(p): p.read_text(encoding="utf-8") for p in sorted(PACKAGE.rglob("*.py"))}
FOLDERS = {module_name(p) for p in PACKAGE.rglob("__init__.py")}
EXTENSION = "nnft._kernels._core"  # compiled, so it has no Python text


# ---- imports ----

def imported_modules(module: str, tree: ast.AST, known: set[str]) -> Iterator[str]:
    """Absolute dotted names that the text imports, at any depth of nesting."""
    package = module if module in FOLDERS else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in known else base


def room_of(module: str) -> str:
    """The room of a module: the second part of its dotted name."""
    return module.split(".")[1] if "." in module else ""


def forbidden_imports(module: str, text: str) -> list[str]:
    """Imports that the table of rooms does not allow."""
    room = room_of(module)
    if room not in TABLE:
        return [f"{module}: room {room!r} is not in the table"]
    rooms, packages = TABLE.get(".".join(module.split(".")[1:3]), TABLE[room])
    complaints = []
    for name in imported_modules(module, ast.parse(text), {*SOURCES, EXTENSION}):
        top = name.partition(".")[0]
        if top == "nnft":
            target = room_of(name)
            allowed = target == room or target in rooms or ".".join(name.split(".")[1:3]) in rooms
            if not target:
                allowed = room in {"cli", "pipeline"}  # the front door: its version number
        else:
            allowed = top in sys.stdlib_module_names or top in packages
        if not allowed:
            complaints.append(f"{module} may not import {name}")
    return complaints


def import_cycles(sources: dict[str, str]) -> list[str]:
    """Cycles in the graph of modules; the front door's lazy imports are not edges."""
    known = {*sources, EXTENSION}
    edges = {
        name: {t for t in imported_modules(name, ast.parse(text), known) if t in known and t != name}
        for name, text in sources.items()
        if name != "nnft"
    }
    found: list[str] = []
    state: dict[str, int] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        state[name] = 1
        for target in sorted(edges.get(name, ())):
            if state.get(target) == 1:
                start = path.index(target)
                found.append(" -> ".join([*path[start:], target]))
            elif target not in state:
                visit(target, (*path, target))
        state[name] = 2

    for name in sorted(edges):
        if name not in state:
            visit(name, (name,))
    return found


# ---- one text at a time ----

def long_file(module: str, text: str) -> list[str]:
    """Files above the limit."""
    lines = text.count("\n")
    return [f"{module}: {lines} lines"] if lines > PYTHON_FILE_LINES else []


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a tree, nested ones and methods included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def long_functions(module: str, text: str) -> list[str]:
    """Functions above the limit; a docstring does not count."""
    complaints = []
    for node in functions(ast.parse(text)):
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if ast.get_docstring(node, clean=False) is not None:
            length -= (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
        if length > FUNCTION_LINES:
            complaints.append(f"{module}.{node.name}: {length} lines")
    return complaints


def assertions(module: str, text: str) -> list[str]:
    """`assert` vanishes under ``python -O`` and must not guard anything."""
    return [f"{module}:{n.lineno}: assert" for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Assert)]


def fast_math(module: str, text: str) -> list[str]:
    """`fastmath` removes NaN checks and fixed rounding."""
    return [f"{module}: fastmath"] if "fastmath" in text else []


def created_files(module: str, text: str) -> list[str]:
    """HDF5 files opened in a creating mode outside the one module that publishes them."""
    complaints = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or ast.unparse(node.func).rpartition(".")[2] != "File":
            continue
        modes = [*node.args[1:2], *(k.value for k in node.keywords if k.arg == "mode")]
        mode = modes[0] if modes else ast.Constant("r")
        literal = mode.value if isinstance(mode, ast.Constant) else None
        reading = literal in {"r", "r+"}
        if not reading and (module != CREATOR or literal in {"w", "a", None}):
            complaints.append(f"{module}:{node.lineno}: {ast.unparse(node)}")
    return complaints


def missing_docstrings(module: str, text: str) -> list[str]:
    """Public modules, classes, functions and methods without a docstring."""
    tree = ast.parse(text)
    complaints = [] if not text.strip() or ast.get_docstring(tree) else [f"{module}: module"]

    def walk(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            overload = any(ast.unparse(d).endswith(("overload", ".setter")) for d in node.decorator_list)
            if not node.name.startswith("_") and not overload:
                if not ast.get_docstring(node):
                    complaints.append(f"{prefix}.{node.name}")
                if isinstance(node, ast.ClassDef):
                    walk(node.body, f"{prefix}.{node.name}")

    walk(tree.body, module)
    return complaints


def drawer_names(module: str, text: str) -> list[str]:
    """Modules named after nothing in particular."""
    del text
    return [module] if DRAWERS & set(module.split(".")) else []


Rule = Callable[[str, str], list[str]]
# rule, module name and text that break it
RULES: list[tuple[Rule, str, str]] = [
    (forbidden_imports, "nnft.theory.wrong", "from nnft.samplers import collapsed\n"),
    (forbidden_imports, "nnft.theory.wrong", "def f():\n    from ..store import reader\n"),
    (forbidden_imports, "nnft.cli.wrong", "import h5py\n"),
    (forbidden_imports, "nnft.estimators.wrong", "import numba\n"),
    (forbidden_imports, "nnft.analysis.wrong", "from nnft.store import writer\n"),
    (forbidden_imports, "nnft.attic.wrong", ""),
    (long_file, "nnft.wrong", "x = 1\n" * (PYTHON_FILE_LINES + 1)),
    (long_functions, "nnft.wrong", "def f():\n" + "    x = 1\n" * FUNCTION_LINES),
    (assertions, "nnft.wrong", "def f(x):\n    assert x > 0\n"),
    (fast_math, "nnft.wrong", "@njit(fast" + "math=True)\ndef f(): ...\n"),
    (created_files, "nnft.store.writer", "h5py.File(path, 'x')\n"),
    (created_files, "nnft.store.writer", "h5py.File(path, mode=mode)\n"),
    (created_files, CREATOR, "h5py.File(path, 'w')\n"),
    (missing_docstrings, "nnft.wrong", '"""Module."""\nclass A:\n    """A."""\n    def f(self): ...\n'),
    (missing_docstrings, "nnft.wrong", "x = 1\n"),
    (drawer_names, "nnft.store.utils", ""),
]


@pytest.mark.parametrize("rule", list(dict.fromkeys(r for r, _, _ in RULES)), ids=lambda r: r.__name__)
def test_tree_keeps_the_rule(rule: Rule) -> None:
    complaints = [line for module, text in SOURCES.items() for line in rule(module, text)]
    assert complaints == []


@pytest.mark.parametrize(("rule", "module", "text"), RULES, ids=lambda v: getattr(v, "__name__", None))
def test_rule_catches_an_offender(rule: Rule, module: str, text: str) -> None:
    assert rule(module, text)


def test_allowed_texts_pass() -> None:
    assert forbidden_imports("nnft.analysis.run", "import json\nfrom nnft.store.reader import x\n") == []
    assert long_functions("nnft.right", "def f():\n    '''a\n" + "b\n" * 60 + "'''\n    return 1\n") == []
    assert created_files("nnft.store.reader", "h5py.File(path)\nh5py.File(path, 'r')\n") == []


def test_no_import_cycles() -> None:
    assert import_cycles(SOURCES) == []


def test_import_cycles_are_seen() -> None:
    loop = {
        "nnft.a": "from nnft import b\n",
        "nnft.b": "def f():\n    from .c import x\n",
        "nnft.c": "import nnft.a\n",
    }
    assert import_cycles(loop) == ["nnft.a -> nnft.b -> nnft.c -> nnft.a"]


def test_file_lengths_have_a_small_median() -> None:
    lengths = [text.count("\n") for name, text in SOURCES.items() if text.strip()]
    assert len(lengths) > 10
    assert statistics.median(lengths) <= MEDIAN_FILE_LINES


def test_tests_and_benchmarks_keep_the_file_limit() -> None:
    files = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    lengths = {str(f.relative_to(ROOT)): f.read_text(encoding="utf-8").count("\n") for f in files}
    assert {name: n for name, n in lengths.items() if n > PYTHON_FILE_LINES} == {}
