"""Damaged, foreign and hostile analysis files: the original content or one clear line, nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nnft.errors import MESSAGE_LIMIT, DataFileError
from nnft.store.analysis_content import AnalysisFile
from nnft.store.analysis_reader import StoredAnalysis, is_analysis_file, read_analysis
from nnft.store.analysis_writer import write_analysis
from nnft.store.digest import describe_form, header_digest
from nnft.store.encode import write_attribute
from nnft.store.guard import AttributeValue, scan
from nnft.store.reader import read_run
from nnft.store.snapshot import RunSnapshot
from nnft.store.verify import verify_file
from nnft.store.writer import write_snapshot

Make = Callable[..., AnalysisFile]
Change = Callable[[h5py.File], None]


def read_everything(path: Path) -> dict[str, Any]:
    """Load all data sets and attributes of an analysis file, by way of the content and one by one."""
    content = read_analysis(path, pseudo_values=True)
    with StoredAnalysis(path) as file:
        arrays: dict[str, Any] = {name: file.read(name).tobytes() for name in file.forms}
        return arrays | file.attributes | {"sources": content.sources, "parameters": content.parameters}


def refused(path: Path, pattern: str, *, verified: bool = True) -> None:
    """Demand one short line with exit code 3 from reading and from verification."""
    with pytest.raises(DataFileError, match=pattern) as caught:
        read_analysis(path, pseudo_values=True)
    assert len(str(caught.value)) <= MESSAGE_LIMIT
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3
    if verified:
        assert verify_file(path) == [str(caught.value)]


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


@pytest.fixture
def original(tmp_path: Path, make_analysis: Make) -> tuple[bytes, dict[str, Any]]:
    """Bytes and content of a good analysis file."""
    path = tmp_path / "good.h5"
    write_analysis(path, make_analysis())
    return path.read_bytes(), read_everything(path)


@pytest.fixture
def changed(analysis_path: Path, make_analysis: Make) -> Callable[..., Path]:
    """Function that writes an analysis file and changes it."""

    def change_file(change: Change, *, seal: bool = False) -> Path:
        write_analysis(analysis_path, make_analysis(), overwrite=analysis_path.exists())
        with h5py.File(analysis_path, "r+") as file:
            change(file)
        if seal:
            reseal(analysis_path)
        return analysis_path

    return change_file


def test_truncation_at_200_lengths(analysis_path: Path, original: tuple[bytes, dict[str, Any]]) -> None:
    data, _ = original
    rng = random.Random(20240601)
    for length in [0, 1, 8, 48, 96, len(data) - 1, *(rng.randrange(len(data)) for _ in range(194))]:
        analysis_path.write_bytes(data[:length])
        refused(analysis_path, r"truncated|not an nnft analysis file", verified=False)
        (finding,) = verify_file(analysis_path)
        assert "truncated" in finding or "not an nnft" in finding
        assert len(finding) <= MESSAGE_LIMIT


@pytest.mark.long
def test_150_single_bit_flips(analysis_path: Path, original: tuple[bytes, dict[str, Any]]) -> None:
    data, content = original
    rng = random.Random(20240602)
    complaints: list[str] = []
    for _ in range(150):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        analysis_path.write_bytes(damaged)
        try:
            assert read_everything(analysis_path) == content
        except DataFileError as error:
            complaints.append(str(error))
    assert max(map(len, complaints)) <= MESSAGE_LIMIT
    assert len(complaints) > 15  # most bytes of this small file are unused space; the rest must be noticed


def test_every_bit_flip_in_numbers_is_noticed(
    analysis_path: Path, make_analysis: Make, original: tuple[bytes, dict[str, Any]]
) -> None:
    data, _ = original
    quartic = make_analysis().table("quartic")
    for part in ("value", "pseudo_values", "indices"):
        stored = np.asarray(getattr(quartic, part)).tobytes()
        place = data.index(stored)
        for bit in range(0, 8 * len(stored), 509):
            damaged = bytearray(data)
            damaged[place + bit // 8] ^= 1 << bit % 8
            analysis_path.write_bytes(damaged)
            pattern = f"checksum error in /tables/quartic/{part}"
            refused(analysis_path, pattern)
            if part == "pseudo_values":
                lazy = read_analysis(analysis_path).table("quartic").pseudo_values
                with pytest.raises(DataFileError, match=pattern):
                    np.asarray(lazy)


def test_numbers_are_checked_beyond_fletcher32(changed: Callable[..., Path]) -> None:
    path = changed(lambda file: file["tables/quartic/value"].__setitem__(3, 0.0))
    refused(path, "checksum error in /tables/quartic/value")
    path = changed(lambda file: file["tables/quartic/pseudo_values"].__setitem__((0, 3), 0.0))
    read_analysis(path)
    refused(path, "checksum error in /tables/quartic/pseudo_values")


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        ("/", "kind", "flow"),
        ("/", "nnft_version", "0"),
        ("/", "added", 1),
        ("/tables/quartic", "description", "the other sign"),
        ("/tables/quartic", "units", "2"),
        ("/tables/quartic", "order", 3),
        ("/arrays/eigenvectors", "long_name", "-"),
    ],
)
def test_changed_attributes_are_noticed(
    changed: Callable[..., Path], where: str, name: str, value: Any
) -> None:
    refused(changed(lambda file: set_attribute(file[where], name, value)), "checksum error in the header")


@pytest.mark.parametrize("content", [b"", b"x", b"\x89HDF\r\n\x1a", b"\x93NUMPY" + bytes(200), b"\n" * 5000])
def test_not_hdf5(analysis_path: Path, content: bytes) -> None:
    analysis_path.write_bytes(content)
    refused(analysis_path, "not an nnft analysis file", verified=False)
    assert not is_analysis_file(analysis_path)


def test_missing_file_and_foreign_hdf5(analysis_path: Path) -> None:
    refused(analysis_path, "no such file")
    with h5py.File(analysis_path, "x") as file:
        file["data"] = np.arange(3)
    refused(analysis_path, "not an nnft analysis file: got no file type", verified=False)
    with h5py.File(analysis_path, "r+") as file:
        set_attribute(file, "filetype", "nnft-mood")
    refused(analysis_path, "not an nnft analysis file: got file type 'nnft-mood'", verified=False)


def test_kinds_are_not_mixed_up(
    analysis_path: Path, run_path: Path, make_analysis: Make, make_snapshot: Callable[..., RunSnapshot]
) -> None:
    write_analysis(analysis_path, make_analysis())
    write_snapshot(run_path, make_snapshot(fields=None))
    refused(run_path, "'run.h5' is a run file; use nnft show or nnft.open", verified=False)
    with pytest.raises(DataFileError, match=r"'action.h5' is an analysis file \(action\); use ") as caught:
        read_run(analysis_path)
    assert caught.value.exit_code == 3
    assert len(str(caught.value)) <= MESSAGE_LIMIT
    assert verify_file(run_path) == verify_file(analysis_path) == []
    assert (is_analysis_file(run_path), is_analysis_file(analysis_path)) == (False, True)


@pytest.mark.parametrize(
    ("version", "readable"), [((1, 0), True), ((1, 7), True), ((2, 0), False), ((0, 9), False)]
)
def test_format_versions(changed: Callable[..., Path], version: tuple[int, int], readable: bool) -> None:
    path = changed(lambda file: set_attribute(file, "format_version", version), seal=True)
    if not readable:
        refused(path, "format version .*this nnft reads 1.x")
        return
    assert read_analysis(path).points.shape == (3, 2)
    with StoredAnalysis(path) as file:
        assert file.newer_minor == (version > (1, 0))


def test_newer_minor_version_may_add_things(changed: Callable[..., Path]) -> None:
    def add(file: h5py.File) -> None:
        set_attribute(file, "format_version", (1, 1))
        set_attribute(file, "mood", "good")
        set_attribute(file["tables/quartic"], "mood", "good")
        file.create_group("spectra")["density"] = np.arange(4.0)
        file["number"] = np.arange(4.0)
        file["tables/quartic/extra"] = np.arange(4.0)

    path = changed(add, seal=True)
    assert read_analysis(path).table("quartic").order == 4
    assert verify_file(path) == []


@pytest.mark.parametrize(
    "path",
    [
        "/mesh/points",
        "/bins/count",
        "/source",
        "/source/run_id",
        "/about/conventions",
        "/parameters",
        "/tables",
        "/tables/quartic/stderr",
        "/arrays/eigenvectors/values",
        "/@kind",
        "/@header_sha256",
        "/mesh/points@sha256",
        "/tables/quartic/pseudo_values@sha256",
        "/tables/quartic@description",
        "/arrays/eigenvectors@units",
    ],
)
def test_missing_parts_are_named(changed: Callable[..., Path], path: str) -> None:
    def remove(file: h5py.File) -> None:
        parent, _, name = path.rpartition("@")
        if parent:
            del file[parent].attrs[name]
        else:
            del file[path]

    refused(changed(remove), rf"missing in 'action.h5': {path}.* of schema 1.0")


def replace(path: str, **arguments: Any) -> Change:
    """Return a change that puts another data set, with a digest, in place of one."""

    def change(file: h5py.File) -> None:
        del file[path]
        set_attribute(file.create_dataset(path, **arguments), "sha256", "00")

    return change


@pytest.mark.parametrize(
    ("path", "data", "pattern"),
    [
        ("/mesh/points", np.zeros((3, 2), "f4"), "wrong type .*got 'float32 .*wants float64 .point, feature"),
        ("/mesh/number", np.zeros(2, "i4"), "wrong shape in '/mesh/number': got 2 .*wanted 3"),
        ("/tables/quartic/value", np.zeros(14), "wrong shape in '/tables/quartic/value'"),
        (
            "/tables/quartic/pseudo_values",
            np.zeros((5, 15)),
            "wrong shape in '/tables/quartic/pseudo_values'",
        ),
        ("/arrays/eigenvectors/values", np.zeros(6), "wrong type in '/arrays/eigenvectors/values'"),
        ("/arrays/eigenvectors/values", np.zeros((3, 3)), "wrong shape in '/arrays/eigenvectors/values'"),
        ("/about/command", "variable length", "wrong type in '/about/command'"),
    ],
)
def test_wrong_types_and_shapes(changed: Callable[..., Path], path: str, data: Any, pattern: str) -> None:
    refused(changed(replace(path, data=data)), pattern)


@pytest.mark.parametrize("axes", ["mode", "mode point bin", "point mode", "../x point", "mode /point", ""])
def test_axes_that_an_array_does_not_have(changed: Callable[..., Path], axes: str) -> None:
    path = changed(lambda file: set_attribute(file["arrays/eigenvectors"], "axes", axes), seal=True)
    refused(path, r"wrong (type|shape) in|schema has no axis")


def test_detached_axis_is_found(changed: Callable[..., Path]) -> None:
    def change(file: h5py.File) -> None:
        file["arrays/eigenvectors/values"].dims[0].detach_scale(file["mode"])

    assert verify_file(changed(change)) == [
        "axes of /arrays/eigenvectors/values: got , /point, wanted /mode, /point"
    ]


def test_wrong_result_digest_is_found(
    analysis_path: Path, make_analysis: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnft.store.content.result_digest", lambda *_: "00")
    write_analysis(analysis_path, make_analysis())
    assert verify_file(analysis_path) == ["result digest does not match the results"]


@pytest.mark.parametrize(
    "arguments",
    [{"shape": (4, 1 << 38), "chunks": (4, 1 << 16)}, {"shape": (4, 1 << 27)}],
    ids=["chunked", "contiguous"],
)
def test_shape_bomb(changed: Callable[..., Path], arguments: dict[str, Any]) -> None:
    path = changed(replace("/tables/quartic/pseudo_values", dtype="f8", **arguments))
    assert path.stat().st_size < 1 << 20
    refused(path, "declares .* bytes but stores")


def test_compression_bomb(changed: Callable[..., Path]) -> None:
    def change(file: h5py.File) -> None:
        shape = ((1 << 27) + 1, 1)
        replace("/mesh/points", shape=shape, dtype="f8", chunks=(1 << 21, 1), compression="gzip")(file)
        file["/mesh/points"][: 1 << 21] = 0.0

    refused(changed(change), "declares .* bytes but stores")


@pytest.mark.parametrize("kind", ["soft", "external"])
@pytest.mark.parametrize("place", ["/mesh/points", "/notes", "/tables", "/arrays/eigenvectors"])
def test_links_are_refused(changed: Callable[..., Path], tmp_path: Path, kind: str, place: str) -> None:
    with h5py.File(tmp_path / "secret.h5", "x") as other:
        other["numbers"] = np.arange(6.0).reshape(3, 2)

    def change(file: h5py.File) -> None:
        if place in file:
            del file[place]
        outside = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/numbers")
        file[place] = outside if kind == "external" else h5py.SoftLink("/mesh")

    refused(changed(change), "links are refused")


def test_link_cycle_and_large_attribute(changed: Callable[..., Path]) -> None:
    refused(changed(lambda file: file["/tables"].__setitem__("again", file["/"])), "cycle")
    path = changed(lambda file: file["/mesh"].attrs.create("blob", np.zeros(100_000, np.int64)))
    refused(path, "attribute 'blob' of '/mesh' .* is too large: got 800000 bytes")


def test_foreign_storage(changed: Callable[..., Path], tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.arange(6.0).tobytes())
    external = [(str(secret), 0, 48)]
    refused(changed(replace("/mesh/points", shape=(3, 2), dtype="f8", external=external)), "external")
    with h5py.File(tmp_path / "part.h5", "x") as other:
        other["numbers"] = np.arange(6.0).reshape(3, 2)

    def virtual(file: h5py.File) -> None:
        del file["/mesh/points"]
        layout = h5py.VirtualLayout((3, 2), "f8")
        layout[:] = h5py.VirtualSource(tmp_path / "part.h5", "numbers", (3, 2))
        set_attribute(file.create_virtual_dataset("/mesh/points", layout), "sha256", "00")

    refused(changed(virtual), "virtual data sets are refused")


@pytest.mark.parametrize("value", [1.5, np.zeros((2, 2), int), h5py.Empty("i8"), "text of any length"])
def test_foreign_file_type(changed: Callable[..., Path], value: Any) -> None:
    path = changed(lambda file: file.attrs.__setitem__("filetype", value))
    refused(path, "foreign type|damaged", verified=False)
    assert not is_analysis_file(path)
