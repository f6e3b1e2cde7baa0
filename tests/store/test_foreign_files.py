"""Files that are no run files, of other versions, incomplete, or made to do harm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

from nnft.errors import MESSAGE_LIMIT, DataFileError
from nnft.store.digest import header_digest
from nnft.store.encode import write_attribute
from nnft.store.guard import AttributeValue, scan
from nnft.store.reader import read_run
from nnft.store.snapshot import RunSnapshot
from nnft.store.validate import describe_form
from nnft.store.writer import write_snapshot

Make = Callable[..., RunSnapshot]
Change = Callable[[h5py.File], None]


def set_attribute(item: h5py.HLObject, name: str, value: AttributeValue) -> None:
    """Write an attribute as nnft does, over one of the same name."""
    item.attrs.pop(name, None)
    write_attribute(item, name, value)


def reseal(path: Path) -> None:
    """Make the header digest right again after a change, so that later checks are reached."""
    with h5py.File(path, "r+") as file:
        content = scan(file, path)
        forms = {
            name: (describe_form(content.datasets[name].dtype, content.datasets[name].shape), digest)
            for name, digest in content.digests.items()
        }
        set_attribute(file, "header_sha256", header_digest(content.attributes, forms))


def refused(path: Path, pattern: str) -> None:
    """Demand one short line."""
    with pytest.raises(DataFileError, match=pattern) as caught:
        read_run(path).close()
    assert len(str(caught.value)) <= MESSAGE_LIMIT


@pytest.fixture
def changed(run_path: Path, make_snapshot: Make) -> Callable[[Change], Path]:
    """Function that writes a run file and changes it."""

    def change_file(change: Change, *, seal: bool = False) -> Path:
        write_snapshot(run_path, make_snapshot())
        with h5py.File(run_path, "r+") as file:
            change(file)
        if seal:
            reseal(run_path)
        return run_path

    return change_file


@pytest.mark.parametrize("content", [b"", b"x", b"\x89HDF\r\n\x1a", b"\x93NUMPY" + bytes(200), b"\n" * 5000])
def test_not_hdf5(run_path: Path, content: bytes) -> None:
    run_path.write_bytes(content)
    refused(run_path, "not an nnft result file")


def test_missing_file_folder_and_pipe(tmp_path: Path) -> None:
    refused(tmp_path / "none.h5", "no such file")
    refused(tmp_path, "no regular file")
    os.mkfifo(tmp_path / "pipe.h5")
    refused(tmp_path / "pipe.h5", "no regular file")
    (tmp_path / "loop.h5").symlink_to(tmp_path / "loop.h5")
    with pytest.raises(Exception, match="cannot open"):
        read_run(tmp_path / "loop.h5")


def test_foreign_hdf5(run_path: Path) -> None:
    with h5py.File(run_path, "x") as file:
        file["data"] = np.arange(3)
    refused(run_path, "not an nnft result file: got no file type")


@pytest.mark.parametrize(
    ("version", "readable"), [((1, 0), True), ((1, 7), True), ((2, 0), False), ((0, 9), False)]
)
def test_format_versions(changed: Callable[..., Path], version: tuple[int, int], readable: bool) -> None:
    path = changed(lambda file: set_attribute(file, "format_version", version), seal=True)
    if not readable:
        refused(path, "format version .*this nnft reads 1.x")
        return
    with read_run(path) as run:
        assert run.newer_minor == (version > (1, 2))
        assert run.points.shape == (3, 2)


def test_newer_minor_version_may_add_things(changed: Callable[..., Path]) -> None:
    def add(file: h5py.File) -> None:
        set_attribute(file, "format_version", (1, 3))
        set_attribute(file, "mood", "good")
        file.create_group("spectra")["density"] = np.arange(4.0)

    with read_run(changed(add, seal=True)) as run:
        assert run.newer_minor


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/mesh/points", "missing in 'run.h5': /mesh/points of schema 1.2"),
        ("/accumulators/count", "missing in 'run.h5': /accumulators/count"),
        ("/config", "missing in 'run.h5': /config"),
        ("/estimates/connected_4_0011/stderr", "missing in 'run.h5': /estimates/connected_4_0011/stderr"),
        ("/@seed", "missing in 'run.h5': /@seed"),
        ("/@header_sha256", "missing in 'run.h5': /@header_sha256"),
        ("/mesh/points@sha256", "missing in 'run.h5': /mesh/points@sha256"),
        ("/fields_manifest@dtype", "missing in 'run.h5': /fields_manifest@dtype"),
    ],
)
def test_missing_parts_are_named(changed: Callable[..., Path], path: str, pattern: str) -> None:
    def remove(file: h5py.File) -> None:
        parent, _, name = path.rpartition("@")
        if parent:
            del file[parent].attrs[name]
        else:
            del file[path]

    refused(changed(remove), pattern)


def replace(path: str, **arguments: Any) -> Change:
    """Return a change that puts another data set, with a digest, in place of one."""

    def change(file: h5py.File) -> None:
        del file[path]
        dataset = file.create_dataset(path, **arguments)
        set_attribute(dataset, "sha256", "00")

    return change


@pytest.mark.parametrize(
    ("path", "data", "pattern"),
    [
        (
            "/mesh/points",
            np.zeros((3, 2), "f4"),
            "wrong type in '/mesh/points': got 'float32 .*float64 .point, feature",
        ),
        ("/mesh/points", np.zeros(6), "wrong type in '/mesh/points'"),
        ("/accumulators/count", np.zeros(4), "wrong type in '/accumulators/count'"),
        ("/accumulators/sums/S2:00", np.zeros((3, 6)), "wrong shape in '/accumulators/sums/S2:00'"),
        ("/estimates/connected_4_0011/value", np.zeros(35), "wrong shape in '/estimates/connected_4_0011/v"),
        ("/config/resolved", "variable length", "wrong type in '/config/resolved'"),
        ("/provenance/history/time", np.zeros(1, "S3,i4"), "wrong type|damaged"),
    ],
)
def test_wrong_types_and_shapes(changed: Callable[..., Path], path: str, data: Any, pattern: str) -> None:
    refused(changed(replace(path, data=data)), pattern)


def test_wrong_type_of_an_attribute(changed: Callable[..., Path]) -> None:
    refused(
        changed(lambda file: set_attribute(file, "seed", 5), seal=True), "wrong type of attribute '/@seed'"
    )
    for value in (1.5, np.zeros((2, 2), int), h5py.Empty("i8"), np.array([b"a", b"b"]), "text of any length"):
        path = changed(lambda file, value=value: file.attrs.__setitem__("seed", value))
        refused(path, "foreign type|damaged")
        path.unlink()


def test_counters_must_agree_with_the_bins(changed: Callable[..., Path]) -> None:
    def commit_more(file: h5py.File) -> None:
        set_attribute(file, "networks_done", 48)
        set_attribute(file, "blocks_done", 6)

    refused(
        changed(commit_more, seal=True), "commit counters contradict the data .*48, .*40 networks in the bins"
    )
    refused(changed(lambda file: set_attribute(file, "block_size", 0), seal=True), "commit counters")


@pytest.mark.parametrize(
    "arguments",
    [{"shape": (1 << 40, 2), "chunks": (1 << 16, 2)}, {"shape": (1 << 27, 2)}],
    ids=["chunked", "contiguous"],
)
def test_shape_bomb(changed: Callable[..., Path], arguments: dict[str, Any]) -> None:
    path = changed(replace("/mesh/points", dtype="f8", **arguments))
    assert path.stat().st_size < 1 << 20
    refused(path, "declares .* bytes but stores")


def test_compression_bomb(changed: Callable[..., Path]) -> None:
    def change(file: h5py.File) -> None:
        replace(
            "/mesh/points", shape=((1 << 27) + 1, 1), dtype="f8", chunks=(1 << 21, 1), compression="gzip"
        )(file)
        file["/mesh/points"][: 1 << 21] = 0.0

    refused(changed(change), "declares .* bytes but stores")


@pytest.mark.parametrize("kind", ["soft", "external"])
@pytest.mark.parametrize("place", ["/mesh/points", "/notes", "/accumulators/sums"])
def test_links_are_refused(changed: Callable[..., Path], tmp_path: Path, kind: str, place: str) -> None:
    with h5py.File(tmp_path / "secret.h5", "x") as other:
        other["numbers"] = np.arange(6.0).reshape(3, 2)

    def change(file: h5py.File) -> None:
        if place in file:
            del file[place]
        outside = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/numbers")
        file[place] = outside if kind == "external" else h5py.SoftLink("/theory/nngp_kernel")

    refused(changed(change), "links are refused")


def test_link_cycle(changed: Callable[..., Path]) -> None:
    def change(file: h5py.File) -> None:
        file["/estimates/again"] = file["/"]

    refused(changed(change), "cycle")


def test_too_many_groups(changed: Callable[..., Path]) -> None:
    def change(file: h5py.File) -> None:
        estimates = file["/estimates"]
        for number in range(20_001):
            estimates.id.links.create_soft(f"{number}".encode(), b"/mesh")

    refused(changed(change), "too many objects")


def test_large_attribute(changed: Callable[..., Path]) -> None:
    path = changed(lambda file: file["/mesh"].attrs.create("blob", np.zeros(100_000, np.int64)))
    refused(path, "attribute 'blob' of '/mesh' .* is too large: got 800000 bytes")


def test_external_storage(changed: Callable[..., Path], tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.arange(6.0).tobytes())
    refused(
        changed(replace("/mesh/points", shape=(3, 2), dtype="f8", external=[(str(secret), 0, 48)])),
        "external",
    )


def test_virtual_dataset(changed: Callable[..., Path], tmp_path: Path) -> None:
    with h5py.File(tmp_path / "part.h5", "x") as other:
        other["numbers"] = np.arange(6.0).reshape(3, 2)

    def change(file: h5py.File) -> None:
        del file["/mesh/points"]
        layout = h5py.VirtualLayout((3, 2), "f8")
        layout[:] = h5py.VirtualSource(tmp_path / "part.h5", "numbers", (3, 2))
        set_attribute(file.create_virtual_dataset("/mesh/points", layout), "sha256", "00")

    refused(changed(change), "virtual data sets are refused")


def put_foreign_filter(file: h5py.File) -> None:
    """Replace the points by a data set with a filter that only a plug-in could provide."""
    del file["/mesh/points"]
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_chunk((3, 2))
    properties.set_filter(32099, h5py.h5z.FLAG_OPTIONAL, ())
    space = h5s.create_simple((3, 2))
    dataset = h5d.create(file["/mesh"].id, b"points", h5t.IEEE_F64LE, space, properties)
    set_attribute(h5py.Dataset(dataset), "sha256", "00")


def test_unknown_filter(changed: Callable[..., Path]) -> None:
    refused(changed(put_foreign_filter), "unknown filter .* got number 32099")


def test_no_plug_in_is_loaded(changed: Callable[..., Path], tmp_path: Path) -> None:
    """A plug-in folder in the environment is not searched: its library would leave a mark when loaded."""
    compiler = shutil.which("cc")
    assert compiler is not None, "the tests need a C compiler"
    mark, folder = tmp_path / "loaded", tmp_path / "plugins"
    folder.mkdir()
    source = tmp_path / "plugin.c"
    source.write_text(
        "#include <fcntl.h>\n__attribute__((constructor)) static void mark(void)"
        f'{{ open("{mark}", O_CREAT | O_WRONLY, 0600); }}\n'
        "int H5PLget_plugin_type(void) { return 0; }\nconst void *H5PLget_plugin_info(void) { return 0; }\n"
    )
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "libevil.so", source], check=True)
    path = changed(put_foreign_filter)
    code = (
        "import sys, h5py\nfrom nnft.store.reader import read_run\nfrom nnft.errors import DataFileError\n"
        "try:\n    {action}\nexcept (DataFileError, OSError):\n    sys.exit(3)\n"
    )
    environment = {**os.environ, "HDF5_PLUGIN_PATH": str(folder)}
    for action, loads in (
        ("read_run(sys.argv[1])", False),
        ("h5py.File(sys.argv[1])['/mesh/points'][:]", True),
    ):
        command = [sys.executable, "-c", code.format(action=action), str(path)]
        assert subprocess.run(command, env=environment, check=False).returncode in (
            (3,) if not loads else (0, 3)
        )
        if not loads:
            assert not mark.exists()
