"""Picture files: refused before anything is computed, published whole or not at all."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from nnft.errors import EnvironmentRefusal, NnftError, UsageError
from nnft.plots.files import check_picture, save_picture

OLD = b"an older picture"


def refused(kind: type[NnftError], code: int, path: Any, *words: str) -> None:
    """Assert that a name is refused by one short line."""
    with pytest.raises(kind) as caught:
        check_picture(path)
    line = str(caught.value)
    assert caught.value.exit_code == code
    assert len(line) <= 190
    assert line.isprintable()
    assert [word for word in words if word not in line] == []


@pytest.mark.parametrize("name", ["a.jpg", "a", "svg", "a.h5", "", "a.svg.gz", "a" * 500])
def test_other_suffixes_are_refused(name: str, tmp_path: Path) -> None:
    refused(UsageError, 2, tmp_path / name, "allowed: .svg, .png, .pdf")


def test_impossible_names_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused(UsageError, 2, "missing/a.svg", "folder of the picture does not exist: got 'missing'")
    refused(UsageError, 2, tmp_path / "a\n.svg", "control character")
    refused(UsageError, 2, tmp_path / "a\0.svg", "control character")
    refused(UsageError, 2, tmp_path / ("a" * 300 + ".svg"), "impossible picture")
    (tmp_path / "folder.svg").mkdir()
    refused(UsageError, 2, tmp_path / "folder.svg", "not a regular file")
    os.mkfifo(tmp_path / "pipe.png")
    refused(UsageError, 2, tmp_path / "pipe.png", "not a regular file")


def test_possible_names_are_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.png").write_bytes(OLD)
    for name in ("a.svg", "A.PDF", "old.png", "./b.png"):
        assert check_picture(name) == Path(name)
    assert (tmp_path / "old.png").read_bytes() == OLD


def test_folder_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    refused(EnvironmentRefusal, 4, tmp_path / "a.svg", "EACCES", "choose a folder you may write to")


def test_missing_matplotlib_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(EnvironmentRefusal) as caught:
        check_picture(tmp_path / "a.svg")
    assert caught.value.exit_code == 4
    assert str(caught.value) == (
        'matplotlib is missing: got no module of that name; pip install "nnft[plots]"'
    )


@pytest.mark.parametrize(
    "failure", [ModuleNotFoundError("no pyparsing", name="pyparsing"), ImportError("ABI")]
)
def test_broken_matplotlib_is_one_line(
    failure: ImportError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name == "matplotlib":
                raise failure

    monkeypatch.delitem(sys.modules, "matplotlib")
    monkeypatch.setattr(sys, "meta_path", [Broken, *sys.meta_path])
    refused(EnvironmentRefusal, 4, tmp_path / "a.svg", "cannot be imported", str(failure))


def test_importing_the_room_imports_no_matplotlib() -> None:
    modules = ["action", "closure", "files", "scales", "scaling", "slices", "style"]
    code = "import sys\n" + "".join(f"import nnft.plots.{name}\n" for name in modules)
    code += "sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0


# ---- writing ----


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """Let no file grow above a limit, as `ulimit -f` does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def figure() -> Figure:
    drawing = Figure(figsize=(2.0, 1.0))
    drawing.subplots().plot([1, 2], [3, 4])
    return drawing


@pytest.mark.parametrize("old", [True, False])
def test_full_disk_leaves_what_was_there(old: bool, figure: Figure, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    if old:
        path.write_bytes(OLD)
    with file_size_limit(1000), pytest.raises(EnvironmentRefusal, match=r"EFBIG.*free space") as caught:
        save_picture(figure, path)
    assert caught.value.exit_code == 4
    assert len(str(caught.value).splitlines()) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == (["a.png"] if old else [])
    assert not old or path.read_bytes() == OLD


@pytest.mark.parametrize("call", ["fsync", "open"])
def test_failing_disk_leaves_what_was_there(
    call: str, figure: Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path = tmp_path / "a.svg"
    path.write_bytes(OLD)
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(EnvironmentRefusal, match=r"EIO.*check the disk"):
        save_picture(figure, path)
    monkeypatch.undo()
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.svg"]
    assert path.read_bytes() == OLD


def test_folder_that_vanishes_is_one_line(figure: Figure, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentRefusal, match=r"ENOENT.*create the folder first"):
        save_picture(figure, tmp_path / "gone" / "a.svg")


def test_existing_picture_is_replaced_with_ordinary_permissions(figure: Figure, tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(OLD)
    other = tmp_path / "other"
    other.touch()
    assert save_picture(figure, path).read_bytes().startswith(b"%PDF")
    assert path.stat().st_mode == other.stat().st_mode
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.pdf", "other"]
