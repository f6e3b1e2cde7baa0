"""Full disks, forbidden folders, little memory, strange environments."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import SCRIPT, Nnft, Outcome, everything, networks_done, refused, results

import nnft as package

FIELDS_CARD = {
    "networks": 40_000,
    "fields": "30000",
    "checkpoint_seconds": 0.1,
    "ensemble": "block_size = 64",
}
NOBODY = 65534


def limited(kind: int, size: int) -> dict[str, object]:
    """Options for a process with a resource limit."""
    return {"preexec_fn": lambda: resource.setrlimit(kind, (size, size))}


@pytest.mark.long
def test_disk_full_at_any_size(nnft: Nnft) -> None:
    nnft.card(**FIELDS_CARD)
    assert nnft("sample", "card.toml", "-o", "whole.h5", "--quiet").code == 0
    whole = everything(nnft.folder / "whole.h5")
    reached = []
    for number, size in enumerate((20_000, 150_000, 400_000)):
        name = f"run{number}.h5"
        run = nnft.folder / name
        end = nnft("sample", "card.toml", "-o", name, "--quiet", **limited(resource.RLIMIT_FSIZE, size))
        refused(end, 4, "EFBIG", "free space or raise the limit, then resume")
        assert [entry.name for entry in nnft.folder.iterdir() if ".nnft-partial-" in entry.name] == []
        reached.append(run.exists())
        if run.exists():
            assert nnft("verify", name, "--checksums-only").code == 0
            again = nnft("sample", "card.toml", "-o", name, "--resume", "--quiet")
            assert (again.code, again.err) == (0, "")
            assert everything(run) == whole
    assert True in reached
    assert False in reached


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one mebibyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_small_file_system(nnft: Nnft, small_disk: Path) -> None:
    nnft.card(networks=2_000_000, fields="1000000", ensemble="block_size = 64")
    refused(
        nnft("sample", "card.toml", "-o", "disk/run.h5"), 4, "bytes free", "needed", "not enough disk space"
    )
    assert list(small_disk.iterdir()) == []
    (small_disk / "ballast").write_bytes(bytes(700_000))
    nnft.card(**FIELDS_CARD | {"fields": "0"})
    refused(nnft("sample", "card.toml", "-o", "disk/run.h5", "--quiet"), 4, "needed")
    assert [entry.name for entry in small_disk.iterdir()] == ["ballast"]


def as_ordinary_user(nnft: Nnft, *words: str) -> Outcome:
    """Run a command as a user whom permissions stop."""
    code = (
        "import encodings.utf_8_sig, os, sys\n"
        "import nnft.pipeline.sample, nnft.analysis.summary, nnft.cli.sampling\n"
        f"if os.getuid() == 0: os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "from nnft.cli import main\nmain()\n"
    )
    return nnft(*words, prefix=(sys.executable, "-P", "-c", code))


def test_read_only_folder_is_refused_at_the_start(nnft: Nnft, open_folder: Path) -> None:
    user = Nnft(open_folder, Path(str(nnft.variables["NNFT_CACHE_DIR"])))
    user.card()
    open_folder.chmod(0o555)
    end = as_ordinary_user(user, "sample", "card.toml", "-o", "run.h5")
    refused(end, 4, "Permission denied", "choose a folder you may write to")
    assert [entry.name for entry in open_folder.iterdir()] == ["card.toml"]
    (open_folder / "card.toml").chmod(0o000)
    refused(as_ordinary_user(user, "sample", "card.toml", "-o", "run.h5"), 2, "not readable")


@pytest.mark.parametrize("size", [pytest.param(200 << 20, marks=pytest.mark.long), 350 << 20])
def test_little_memory_is_one_line(nnft: Nnft, size: int) -> None:
    nnft.card()
    end = nnft("sample", "card.toml", "-o", "run.h5", "--threads", "1", **limited(resource.RLIMIT_AS, size))
    refused(end, 4, "memory")
    assert not (nnft.folder / "run.h5").exists()


@pytest.mark.long
def test_no_place_for_compiled_kernels_is_one_warning(nnft: Nnft) -> None:
    """Every folder for the cache is blocked by a file of its name, which stops every user."""
    source = Path(package.__file__).parent
    copy = nnft.folder / "copy" / "nnft"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "*.nb?"))
    (copy / "_kernels" / "__pycache__").touch()
    temporary = nnft.folder / "temporary"
    temporary.mkdir()
    (temporary / f"nnft-cache-{os.getuid()}").touch()
    blocked = {
        "NNFT_CACHE_DIR": None,
        "NUMBA_CACHE_DIR": None,
        "HOME": None,
        "XDG_CACHE_HOME": "/dev/null",
        "TMPDIR": str(temporary),
        "PYTHONPATH": str(copy.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    card = nnft.card(fields="100")
    end = nnft("sample", card, "-o", "run.h5", "--quiet", env=blocked)
    assert (end.code, end.out) == (0, ""), end
    assert len(end.lines) == 1
    assert end.lines[0].startswith("nnft: warning: no writable folder for compiled kernels")
    cached = nnft("sample", card, "-o", "cached.h5", "--quiet")
    assert (cached.code, cached.err) == (0, "")
    assert results(nnft.folder / "cached.h5") == results(nnft.folder / "run.h5")


@pytest.mark.long
def test_surroundings_do_not_change_a_byte(nnft: Nnft) -> None:
    card = nnft.card(fields="100")
    assert nnft("sample", card, "-o", "plain.h5", "--quiet").code == 0
    plain = everything(nnft.folder / "plain.h5")
    variants: list[tuple[dict[str, str | None], tuple[str, ...]]] = [
        ({"TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "0", "LC_ALL": "C"}, ("-O",)),
        ({"TZ": "America/St_Johns", "PYTHONHASHSEED": "1", "LC_ALL": "C.UTF-8", "HOME": None}, ("-OO",)),
        ({"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}, ()),
    ]
    for number, (env, switches) in enumerate(variants):
        python = (sys.executable, *switches, SCRIPT)
        end = nnft("sample", card, "-o", f"{number}.h5", "--quiet", env=env, prefix=python)
        assert (end.code, end.err) == (0, ""), end
        assert everything(nnft.folder / f"{number}.h5") == plain
    (nnft.folder / "bad.toml").write_text("x = 1", encoding="utf-8")
    refused(nnft("check", "bad.toml", prefix=(sys.executable, "-OO", SCRIPT)), 2, "bad.toml", lines=4)


@pytest.mark.parametrize(
    ("name", "value"), [("OMP_NUM_THREADS", "abc"), ("NUMBA_NUM_THREADS", "0"), ("NNFT_SIMD", "mmx")]
)
def test_variables_that_mean_nothing(nnft: Nnft, name: str, value: str) -> None:
    code = 4 if name == "NNFT_SIMD" else 2
    refused(nnft("sample", nnft.card(), "-o", "run.h5", env={name: value}), code, name, f"'{value}'")
    assert not (nnft.folder / "run.h5").exists()


def test_overflow_at_the_first_network(nnft: Nnft) -> None:
    card = nnft.card(widths="[8, 8, 8, 8, 8, 8, 8]", activation="exp", network="weight_variance = 4.0")
    refused(nnft("sample", card, "-o", "run.h5"), 5, "not finite", "lower the weight variance")
    assert not (nnft.folder / "run.h5").exists()


def test_overflow_later_keeps_the_checkpoint(nnft: Nnft) -> None:
    """An exponential network of three layers overflows once in some ten thousand networks."""
    keys = {"widths": "[4, 4, 4]", "activation": "exp", "network": "weight_variance = 1.0"}
    card = nnft.card(**keys, networks=5_000_000, checkpoint_seconds=0.1, ensemble="block_size = 64")
    end = nnft("sample", card, "-o", "run.h5", "--quiet")
    refused(end, 5, "not finite", "got overflow")
    assert networks_done(nnft.folder / "run.h5") < 5_000_000
    assert nnft("verify", "run.h5").code == 0
    assert nnft("show", "run.h5").code == 0


def test_damaged_result_is_never_read_as_a_number(nnft: Nnft) -> None:
    assert nnft("sample", nnft.card(fields="100"), "-o", "run.h5", "--quiet").code == 0
    good = (nnft.folder / "run.h5").read_bytes()
    shown = nnft("show", "run.h5", "--json").out
    damaged = nnft.folder / "damaged.h5"
    for length in (100, len(good) // 3, len(good) - 1):
        damaged.write_bytes(good[:length])
        refused(nnft("show", "damaged.h5"), 3, "damaged.h5")
    shutil.copytree(nnft.folder / "run.h5.fields", nnft.folder / "damaged.h5.fields")
    found = 0
    for position in range(2000, len(good), len(good) // 6):
        damaged.write_bytes(good[:position] + bytes([good[position] ^ 16]) + good[position + 1 :])
        end = nnft("show", "damaged.h5", "--json")
        assert end.code in (0, 3), end
        assert end.code == 3 or end.out == shown.replace('"run.h5"', '"damaged.h5"')
        verified = nnft("verify", "damaged.h5", "--checksums-only")
        assert verified.code in (0, 3)
        assert verified.code == 3 or end.code == 0
        found += verified.code == 3
    assert found >= 1
    segment = next((nnft.folder / "run.h5.fields").iterdir())
    content = bytearray(segment.read_bytes())
    content[-50] ^= 1
    segment.write_bytes(content)
    assert nnft("verify", "run.h5", "--checksums-only").code in (0, 3)
    segment.write_bytes(content[:-1000])
    refused(nnft("verify", "run.h5", "--checksums-only"), 3, segment.name)
