"""House rules for the C core and for every text of the project, each with a text that breaks it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
KERNELS = ROOT / "src" / "nnft" / "_kernels"
C_FILE_LINES = 600
FUNCTION_LINES = 50
FOLDERS = ("src", "tests", "benchmarks", "data", "docs", ".ci")
SUFFIXES = {".py", ".c", ".h", ".md", ".toml", ".cfg", ".csv", ".json", ".txt", ".yml", ""}
# Spelled in two parts so that this file does not contain them.
FORBIDDEN = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "/wo" + "rk/", "/ro" + "ot/", "sha" + "red/"]


def c_files() -> list[Path]:
    """C sources and headers of the package and of its unit tests."""
    return sorted(p for folder in (KERNELS, ROOT / "tests" / "c") for p in folder.rglob("*.[ch]"))


def project_texts() -> Iterator[tuple[str, str]]:
    """Name and text of every hand-written file."""
    paths = [p for p in ROOT.iterdir() if p.is_file()]
    paths += [p for folder in FOLDERS for p in (ROOT / folder).rglob("*") if p.is_file()]
    for path in sorted(paths):
        generated = {"__pycache__", "_build", "build"} & set(path.parts) or ".egg-info" in str(path)
        if path.suffix in SUFFIXES and not generated:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8", errors="replace")


def bare_code(text: str) -> str:
    """C text with comments and literals blanked and line numbers kept."""
    pattern = r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
    return re.sub(pattern, lambda m: "\n" * m.group().count("\n"), text, flags=re.DOTALL)


def c_blocks(text: str) -> list[tuple[str, int]]:
    """Heading and number of lines of every brace block at file level, and of every macro."""
    found: list[tuple[str, int]] = []
    code = bare_code(text)
    macro = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", flags=re.MULTILINE)
    found += [(m.group().split("\\")[0].strip(), m.group().count("\n") + 1) for m in macro.finditer(code)]
    code = macro.sub(lambda m: "\n" * m.group().count("\n"), code)
    depth, heading, first = 0, "", 0
    for number, line in enumerate(code.split("\n")):
        for char in line:
            if char == "{":
                depth += 1
            elif char == "}":
                depth -= 1
                if depth == 0:
                    found.append((heading.strip(), number - first + 1))
                    heading = ""
            elif depth == 0:
                if not heading.strip():
                    first = number
                heading = "" if char == ";" else heading + char
        if depth == 0:
            heading += " "
    return found


def long_c_functions(text: str) -> list[str]:
    """Functions and macros of more lines than allowed; tables (``name[] = {...}``) are not code."""
    code = [(heading, n) for heading, n in c_blocks(text) if "=" not in heading.partition("(")[0]]
    return [f"{heading}: {n} lines" for heading, n in code if n > FUNCTION_LINES]


def long_c_file(text: str) -> list[str]:
    """Files above the limit."""
    lines = text.count("\n")
    return [f"{lines} lines"] if lines > C_FILE_LINES else []


def careless_c(text: str) -> list[str]:
    """Calls that a numerical library has no use for: allocation, printing, exit, fast rounding."""
    calls = r"\b(malloc|calloc|realloc|free|alloca|printf|fprintf|sprintf|puts|abort|exit|rand)\s*\("
    flags = r"-ffast-math|-Ofast|optimize\s*\(\s*\"O?fast"
    return re.findall(calls, bare_code(text)) + re.findall(flags, text)


def python_in_core(text: str) -> list[str]:
    """The core is a C library of its own: no Python header in it."""
    return re.findall(r"#\s*include\s*[<\"](?:Python|numpy/)[^>\"]*", text)


def forbidden_words(text: str) -> list[str]:
    """Left-over notes and paths of somebody's machine."""
    return [word for word in FORBIDDEN if word in text]


LONG_BODY = "static int f(int a)\n{\n" + "    a++;\n" * FUNCTION_LINES + "}\n"


@pytest.mark.parametrize("path", c_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_c_files_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert long_c_file(text) == []
    assert long_c_functions(text) == []


@pytest.mark.parametrize("path", sorted((KERNELS / "core").glob("*.[ch]")), ids=lambda p: p.name)
def test_core_is_a_plain_library(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert careless_c(text) == []
    assert python_in_core(text) == []


def test_build_has_no_fast_rounding() -> None:
    assert careless_c((ROOT / "setup.py").read_text(encoding="utf-8")) == []


def test_no_forbidden_words() -> None:
    texts = list(project_texts())
    assert len(texts) > 20
    assert {name: words for name, text in texts if (words := forbidden_words(text))} == {}


def test_one_binding_file() -> None:
    with_python = [p.name for p in c_files() if python_in_core(p.read_text(encoding="utf-8"))]
    assert with_python == ["_core.c"]


def test_c_block_counter() -> None:
    text = 'int a[] = {1, 2};\nstruct s { int x; };\n/* { */\nvoid f(void)\n{\n  g("}");\n  if (a) {\n  }\n'
    text += "}\n"
    assert c_blocks(text) == [("int a[] =", 1), ("struct s", 1), ("void f(void)", 6)]


def test_c_rules_catch_offenders() -> None:
    assert long_c_functions(LONG_BODY)
    assert long_c_functions("#define M(a) \\\n" + "    a; \\\n" * FUNCTION_LINES + "    a\n")
    assert not long_c_functions(LONG_BODY.replace("    a++;\n", "", 3))
    assert not long_c_functions("static const double table[] = {\n" + "    1.0,\n" * 100 + "};\n")
    assert long_c_file(";\n" * (C_FILE_LINES + 1))
    assert careless_c("p = malloc (8);") == ["malloc"]
    assert careless_c("flags = ['-ffast" + "-math']")
    assert python_in_core("#include <Python.h>\n")
    assert careless_c("/* malloc( */ x = normals(8);") == []


@pytest.mark.parametrize("word", FORBIDDEN)
def test_forbidden_words_are_seen(word: str) -> None:
    assert forbidden_words(f"x  # {word}")
