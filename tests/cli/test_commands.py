"""Every command does what its help says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import Nnft, card_text, everything, fields_bytes, networks_done, refused, results


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, kernel_cache: Path) -> Nnft:
    """A folder with ``card.toml`` and its finished ``run.h5`` of 400 networks, fields kept."""
    nnft = Nnft(tmp_path_factory.mktemp("finished"), kernel_cache)
    done = nnft("sample", nnft.card(fields='"all"'), "-o", "run.h5", "--json")
    assert (done.code, done.err) == (0, "")
    (nnft.folder / "printed.json").write_text(done.out, encoding="utf-8")
    return nnft


def test_sample_prints_its_results_and_leaves_nothing_behind(finished: Nnft) -> None:
    state = json.loads((finished.folder / "printed.json").read_text(encoding="utf-8"))
    assert state["complete"] is True
    assert state["networks"] == state["networks_planned"] == state["stored_outputs"] == 400
    assert len(state["points"]) == 2
    names = sorted(entry.name for entry in finished.folder.iterdir())
    assert names == ["card.toml", "printed.json", "run.h5", "run.h5.fields"]
    assert list(fields_bytes(finished.folder / "run.h5")) == ["segment-000000.h5"]


def test_show_prints_what_sample_printed(finished: Nnft) -> None:
    shown = finished("show", "run.h5", "--json")
    assert (shown.code, shown.err) == (0, "")
    assert json.loads(shown.out) == json.loads((finished.folder / "printed.json").read_text(encoding="utf-8"))
    table = finished("show", "run.h5")
    assert (table.code, table.err) == (0, "")
    for word in ("G2(aa)", "G4(aaaa) conn.", "excess kurtosis", "400 of 400", "method", "networks/s"):
        assert word in table.out
    rows = [line.split() for line in table.out.splitlines() if line.strip()[:1] in ("0", "1")]
    value = json.loads(shown.out)["points"][0]["G2"]["value"]
    assert float(rows[0][1].partition("(")[0]) == pytest.approx(value, rel=0.1)


def test_status_of_a_finished_run(finished: Nnft) -> None:
    text = finished("status", "run.h5")
    assert (text.code, text.err) == (0, "")
    assert "complete" in text.out
    state = json.loads(finished("status", "run.h5", "--json").out)
    assert (state["networks"], state["complete"], state["writer_alive"]) == (400, True, False)


def test_verify_recomputes_a_bin(finished: Nnft) -> None:
    good = finished("verify", "run.h5")
    assert (good.code, good.err) == (0, "")
    assert "bit for bit the same" in good.out
    quick = finished("verify", "run.h5", "--checksums-only")
    assert quick.code == 0
    assert "bit for bit" not in quick.out


def test_check_announces_the_run(finished: Nnft) -> None:
    text = finished("check", "card.toml")
    assert (text.code, text.err) == (0, "")
    for word in ("conventions", "memory", "result file", "time", "2 -> 8 (2 layers) -> 1"):
        assert word in text.out
    plan = json.loads(finished("check", "card.toml", "--json").out)
    assert (plan["networks"], plan["points"]) == (400, 2)


def test_card_prints_examples_that_check(finished: Nnft) -> None:
    names = finished("card", "--list").out.split()
    assert "deep-relu" in names
    text = finished("card", "--example", "deep-relu")
    assert text.code == 0
    (finished.folder / "example.toml").write_text(text.out, encoding="utf-8")
    assert finished("check", "example.toml").code == 0
    (finished.folder / "example.toml").unlink()


def test_info_names_versions_and_instruction_set(finished: Nnft) -> None:
    text = finished("info")
    assert (text.code, text.err) == (0, "")
    record = json.loads(finished("info", "--json").out)
    assert {"nnft", "numpy", "numba", "hdf5", "instruction_set", "loaded_from"} <= set(record)
    assert all(f"{name} " in text.out for name in record)


def test_version_and_help(finished: Nnft) -> None:
    assert finished("--version").out.startswith("nnft, version ")
    assert "sample" in finished("--help").out
    assert "Exit codes" in " ".join(finished("sample", "-h").out.split())


def test_complete_run_is_left_alone_by_resume(finished: Nnft) -> None:
    before = (finished.folder / "run.h5").read_bytes()
    again = finished("sample", "card.toml", "-o", "run.h5", "--resume", "--quiet")
    assert (again.code, again.out) == (0, "")
    assert again.lines == ["nnft: already complete: run.h5 holds all 400 networks"]
    assert (finished.folder / "run.h5").read_bytes() == before


def test_threads_do_not_change_a_byte(finished: Nnft) -> None:
    one = finished("sample", "card.toml", "-o", "one.h5", "--threads", "1", "--quiet")
    assert (one.code, one.out, one.err) == (0, "", "")
    assert everything(finished.folder / "one.h5") == everything(finished.folder / "run.h5")
    (finished.folder / "other.toml").write_text(card_text(fields='"all"', seed=7), encoding="utf-8")
    assert finished("sample", "other.toml", "-o", "one.h5", "--overwrite", "--quiet").code == 0
    assert results(finished.folder / "one.h5") != results(finished.folder / "run.h5")
    assert fields_bytes(finished.folder / "one.h5") != fields_bytes(finished.folder / "run.h5")


def test_extension_gives_the_run_that_was_long_from_the_start(nnft: Nnft) -> None:
    short = nnft.card("short.toml", networks=256, fields="200", ensemble="block_size = 4")
    long = nnft.card("long.toml", networks=1000, fields="200", ensemble="block_size = 4")
    assert nnft("sample", short, "-o", "run.h5", "--quiet").code == 0
    assert nnft("sample", long, "-o", "run.h5", "--resume", "--quiet").code == 0
    assert networks_done(nnft.folder / "run.h5") == 1000
    assert nnft("sample", long, "-o", "whole.h5", "--quiet").code == 0
    assert everything(nnft.folder / "run.h5") == everything(nnft.folder / "whole.h5")
    fewer = nnft("sample", short, "-o", "run.h5", "--resume")
    refused(fewer, 2, "ensemble.networks", "got 256", "at least 1000")


def test_missing_seed_is_drawn_and_said(nnft: Nnft) -> None:
    card = nnft.card(seed=None)
    first = nnft("sample", card, "-o", "first.h5", "--quiet")
    second = nnft("sample", card, "-o", "second.h5", "--json")
    assert first.code == second.code == 0
    seed = json.loads(second.out)["seed"]
    assert second.lines == [f"nnft: no seed in the card: drew {seed}"]
    assert first.lines != second.lines
    assert 0 <= int(seed) < 2**128


def test_overwrite_replaces_results_and_fields(nnft: Nnft) -> None:
    assert nnft("sample", nnft.card(fields='"all"'), "-o", "run.h5", "--quiet").code == 0
    assert fields_bytes(nnft.folder / "run.h5")
    done = nnft("sample", nnft.card(networks=300), "-o", "run.h5", "--overwrite", "--quiet")
    assert (done.code, done.err) == (0, "")
    assert networks_done(nnft.folder / "run.h5") == 300
    assert sorted(entry.name for entry in nnft.folder.iterdir()) == ["card.toml", "run.h5"]


def test_points_from_a_file_of_any_kind(nnft: Nnft) -> None:
    points = np.array([[1.0, 0.5], [0.2, -1.0]])
    np.savetxt(nnft.folder / "points.csv", points, delimiter=",")
    np.save(nnft.folder / "little.npy", points.astype("<f8"))
    np.save(nnft.folder / "big.npy", points.astype(">f8"))
    sampled = nnft("sample", nnft.card(), "-o", "points.h5", "--json")
    assert sampled.code == 0, sampled.err
    digest = json.loads(sampled.out)["digest"]
    for name in ("points.csv", "little.npy", "big.npy", "points.h5:/mesh/points"):
        checked = nnft("check", nnft.card("other.toml", points=f'file = "{name}"'))
        assert checked.code == 0, checked.err
        assert checked.out.split()[-1] == digest, name
    np.save(nnft.folder / "big.npy", np.nextafter(points, 9.0))
    other = nnft("check", nnft.card("other.toml", points='file = "big.npy"'))
    assert digest not in other.out
