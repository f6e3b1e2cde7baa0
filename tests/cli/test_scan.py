"""``nnft scan``: members, index, extension, refusals."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import h5py
import pytest
from command_line import SEED, Nnft, card_text, everything, networks_done, refused

from nnft.cli.scans import assigned
from nnft.errors import NnftError, UsageError
from nnft.pipeline.scan import scan
from nnft.pipeline.scan_members import member_seed

WIDTHS = "network.widths=[[4],[8]]"


def index_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return content


def digests(folder: Path) -> dict[str, str]:
    """Result digest of every member, from its file; it must be the one in the index."""
    found = {}
    for member in index_of(folder)["members"]:
        with h5py.File(folder / member["file"], "r") as file:
            stored = file.attrs["result_digest"]
        stored = stored.decode() if isinstance(stored, bytes) else str(stored)
        assert member["result_digest"] == stored
        found[member["name"]] = stored
    return found


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory, kernel_cache: Path) -> Nnft:
    """A folder with ``card.toml`` and the finished scan ``scan`` of four members."""
    nnft = Nnft(tmp_path_factory.mktemp("scanned"), kernel_cache)
    done = nnft(
        "scan", nnft.card(), "--set", WIDTHS, "--set", 'network.activation=["erf","tanh"]', "-o", "scan"
    )
    assert done.code == 0, done.err
    (nnft.folder / "printed.txt").write_text(done.out, encoding="utf-8")
    (nnft.folder / "told.txt").write_text(done.err, encoding="utf-8")
    return nnft


NAMES = [f"widths-{width}_activation-{name}" for width in (4, 8) for name in ("erf", "tanh")]


def test_index_and_files(scanned: Nnft) -> None:
    folder = scanned.folder / "scan"
    assert {entry.name for entry in folder.iterdir()} == {"index.json", *(f"{name}.h5" for name in NAMES)}
    index = index_of(folder)
    assert [member["name"] for member in index["members"]] == NAMES
    assert (index["format"], index["format_version"], index["seed"]) == ("nnft-scan", 1, str(SEED))
    assert index["card"] == card_text()
    assert index["sets"] == {"network.widths": [[4], [8]], "network.activation": ["erf", "tanh"]}
    for member in index["members"]:
        assert (member["state"], member["networks_done"], member["error"]) == ("done", 400, "")
        assert int(member["seed"]) == member_seed(SEED, member["values"])
    assert len(set(digests(folder).values())) == 4
    printed = (scanned.folder / "printed.txt").read_text(encoding="utf-8")
    for word in (*NAMES, "400", "G2(00)", "G4(0000) conn.", "excess kurtosis", "4 of 4 members done"):
        assert word in printed
    told = (scanned.folder / "told.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in told if "member" in line] == [
        f"nnft: member {number + 1} of 4: {name}, 400 networks, seed {index['members'][number]['seed']}"
        for number, name in enumerate(NAMES)
    ]


def test_seed_of_a_member_is_the_documented_hash() -> None:
    text = '{"seed":"7","values":{"network.weight_variance":1.5,"network.widths":[8,8]}}'
    expected = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
    assert member_seed(7, {"network.widths": [8, 8], "network.weight_variance": 1.5}) == expected
    assert 0 <= expected < 2**128


def test_member_is_the_run_that_sample_makes(scanned: Nnft) -> None:
    member = index_of(scanned.folder / "scan")["members"][1]
    card = card_text(widths="[4]", activation="tanh", seed=int(member["seed"]))
    (scanned.folder / "alone.toml").write_text(card, encoding="utf-8")
    assert scanned("sample", "alone.toml", "-o", "alone.h5", "--quiet").code == 0
    alone, within = (everything(scanned.folder / name) for name in ("alone.h5", f"scan/{member['file']}"))
    assert alone == within
    shown = scanned("show", f"scan/{member['file']}")
    assert (shown.code, shown.err) == (0, "")
    assert "widths [4], tanh" in shown.out
    assert scanned("verify", f"scan/{member['file']}").code == 0


def test_show_and_status_of_the_folder(scanned: Nnft) -> None:
    assert scanned("show", "scan").out == (scanned.folder / "printed.txt").read_text(encoding="utf-8")
    state = json.loads(scanned("show", "scan", "--json").out)
    assert [member["points"][1]["G2"]["value"] > 0 for member in state["members"]] == [True] * 4
    text = scanned("status", "scan")
    assert (text.code, text.err) == (0, "")
    assert "scan: complete" in text.out
    assert "1600 of 1600" in text.out
    counted = json.loads(scanned("status", "scan", "--json").out)
    assert (counted["members_done"], counted["complete"], counted["writer_alive"]) == (4, True, False)


def test_complete_scan_is_left_alone_by_resume(scanned: Nnft) -> None:
    folder = scanned.folder / "scan"
    before = {name: (folder / f"{name}.h5").read_bytes() for name in NAMES}
    again = scanned("scan", "--resume", "-o", "scan", "--quiet")
    assert (again.code, again.out) == (0, "")
    assert again.lines == ["nnft: already complete: scan holds all 4 members"]
    assert {name: (folder / f"{name}.h5").read_bytes() for name in NAMES} == before


@pytest.mark.long
def test_members_in_step_and_whole_runs_per_member(nnft: Nnft) -> None:
    sets = ["--set", WIDTHS, "--set", "ensemble.networks=[300,200]", "--together"]
    done = nnft("scan", nnft.card(), *sets, "-o", "scan", "--json")
    assert done.code == 0, done.err
    state = json.loads(done.out)
    assert [member["networks"] for member in state["members"]] == [300, 200]
    assert [member["name"] for member in state["members"]] == [
        "widths-4_networks-300",
        "widths-8_networks-200",
    ]
    given = nnft("scan", nnft.card(), "--set", "ensemble.seed=[1,2]", "-o", "seeds", "--quiet")
    assert given.code == 0
    assert [member["seed"] for member in index_of(nnft.folder / "seeds")["members"]] == ["1", "2"]


def test_further_values_add_members_and_keep_the_others(nnft: Nnft) -> None:
    card = nnft.card()
    assert nnft("scan", card, "--set", WIDTHS, "-o", "scan", "--quiet").code == 0
    first = digests(nnft.folder / "scan")
    wider = ["--set", "network.widths=[[2],[4],[8],[16]]"]
    more = nnft("scan", card, *wider, "-o", "scan", "--resume", "--quiet")
    assert (more.code, more.err) == (0, "")
    assert nnft("scan", card, *wider, "-o", "whole", "--quiet").code == 0
    grown = digests(nnft.folder / "scan")
    assert grown == digests(nnft.folder / "whole")
    assert first.items() < grown.items()


@pytest.mark.long
def test_more_networks_extend_every_member(nnft: Nnft) -> None:
    short = nnft.card("short.toml", networks=256, ensemble="block_size = 4")
    long = nnft.card("long.toml", networks=1000, ensemble="block_size = 4")
    assert nnft("scan", short, "--set", WIDTHS, "-o", "scan", "--quiet").code == 0
    assert nnft("scan", long, "-o", "scan", "--resume", "--quiet").code == 0
    assert networks_done(nnft.folder / "scan" / "widths-8.h5") == 1000
    assert nnft("scan", long, "--set", WIDTHS, "-o", "whole", "--quiet").code == 0
    assert digests(nnft.folder / "scan") == digests(nnft.folder / "whole")
    assert nnft("scan", "--resume", "-o", "scan", "--quiet").code == 0
    refused(nnft("scan", short, "-o", "scan", "--resume"), 2, "fewer networks", "got 256", "1000")


@pytest.mark.long
def test_overwrite_replaces_all_members(nnft: Nnft) -> None:
    assert nnft("scan", nnft.card(fields='"all"'), "--set", WIDTHS, "-o", "scan", "--quiet").code == 0
    done = nnft("scan", nnft.card(), "--set", "network.widths=[[3]]", "-o", "scan", "--overwrite", "--quiet")
    assert (done.code, done.err) == (0, "")
    assert sorted(entry.name for entry in (nnft.folder / "scan").iterdir()) == ["index.json", "widths-3.h5"]


@pytest.mark.long
def test_drawn_seed_is_said_and_kept(nnft: Nnft) -> None:
    done = nnft("scan", nnft.card(seed=None), "--set", WIDTHS, "-o", "scan", "--quiet")
    seed = index_of(nnft.folder / "scan")["seed"]
    assert done.lines == [f"nnft: no seed in the card: drew {seed}"]
    assert nnft("scan", "card.toml", "-o", "scan", "--resume", "--quiet").code == 0
    assert index_of(nnft.folder / "scan")["seed"] == seed


@pytest.mark.long
def test_points_from_a_file_beside_the_card(nnft: Nnft) -> None:
    (nnft.folder / "cards").mkdir()
    (nnft.folder / "cards" / "points.csv").write_text("1.0,0.5\n0.2,-1.0\n", encoding="utf-8")
    nnft.card("cards/card.toml", points='file = "points.csv"')
    assert nnft("scan", "cards/card.toml", "--set", WIDTHS, "-o", "scan", "--quiet").code == 0
    assert nnft("scan", "--resume", "-o", "scan", "--quiet").code == 0
    (nnft.folder / "cards" / "points.csv").write_text("1.0,0.5\n0.2,-1.1\n", encoding="utf-8")
    refused(nnft("scan", "--resume", "-o", "scan", "--quiet"), 3, "widths-4", "restore the input file")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--set", "network.width=[[4]]"], 2, ["card.toml, network.width", "did you mean 'widths'?"]),
        (["--set", "network.widths=[[4],[8]"], 2, ["no TOML value", "network.widths"]),
        (["--set", "network.widths=[[4],[0]]"], 2, ["member 2 of card.toml", "widths[0]", "got 0"]),
        ([], 2, ["nothing to scan", "--set"]),
        (["--set", WIDTHS, "--resume"], 3, ["nothing to resume"]),
        (["--set", "ensemble.networks=[4e12]", "--set", 'store.fields=["all"]'], 4, ["not enough disk"]),
    ],
)
def test_refusals_create_nothing(nnft: Nnft, words: list[str], code: int, told: list[str]) -> None:
    refused(nnft("scan", nnft.card(), *words, "-o", "scan"), code, *told)
    assert [entry.name for entry in nnft.folder.iterdir()] == ["card.toml"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["network.widths"], "no value in --set: got 'network.widths'; write 'KEY=VALUE'"),
        (["=[1]"], "no value in --set"),
        (["network.widths=[8"], "no TOML value in --set 'network.widths'"),
        (["network.widths=8\nother=9"], "no TOML value in --set"),
        ([WIDTHS, WIDTHS], "key given twice in --set"),
    ],
)
def test_assignments_are_read_one_by_one(words: list[str], told: str) -> None:
    assert assigned((WIDTHS, " a.b = 'x=y'"), "--set") == {"network.widths": [[4], [8]], "a.b": "x=y"}
    with pytest.raises(UsageError) as caught:
        assigned(tuple(words), "--set")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


SETS: list[tuple[dict[str, Any], list[str]]] = [
    ({"weight_variance": [1]}, ["did you mean 'network.weight_variance'?"]),
    ({"qqqqq": [1]}, ["unknown key in --set", "use a key of the card"]),
    ({"network.widths": 8}, ["no list of values", "got 8"]),
    ({"network.widths": []}, ["no values", "empty list"]),
    ({"network.widths": [4]}, ["member 1 of card.toml", "network.widths", "got 4"]),
    ({"network.activation": ["relu", "tan"]}, ["member 2", "did you mean 'tanh'?"]),
    ({"network.widths": [date(1979, 5, 27)]}, ["no value of a card"]),
    ({"ensemble.seed": [-1]}, ["member 1", "ensemble.seed", "got -1"]),
    ({"network.weight_variance": [float("nan")]}, ["member 1", "not finite"]),
    ({"network.widths": [[4], [8], [4]]}, ["run given twice", "the same as widths-4"]),
    ({"network.weight_variance": [1, [1, 1, 1]]}, ["the same as weight_variance-1.0"]),
    ({"ensemble.seed": list(range(1001))}, ["too many members", "1001", "1000"]),
    ({"store.fields": ["all", 3 * 10**14]}, ["member 2", "store.fields"]),
]


@pytest.mark.parametrize(("sets", "told"), SETS)
def test_refused_values_name_key_and_member(tmp_path: Path, sets: dict[str, Any], told: list[str]) -> None:
    (tmp_path / "card.toml").write_text(card_text(), encoding="utf-8")
    with pytest.raises(NnftError) as caught:
        scan(tmp_path / "card.toml", sets, tmp_path / "scan")
    assert caught.value.exit_code == 2
    lines = str(caught.value).splitlines()
    assert len(lines) == 1
    assert len(lines[0]) <= 187
    for word in told:
        assert word in lines[0]
    assert [entry.name for entry in tmp_path.iterdir()] == ["card.toml"]


def test_refused_calls(tmp_path: Path) -> None:
    (tmp_path / "card.toml").write_text(card_text(), encoding="utf-8")
    both: dict[str, Any] = {"network.widths": [[4], [8]], "ensemble.seed": [1]}
    for options, told in (
        ({"together": True}, "2 for network.widths, 1 for ensemble.seed"),
        ({"overwrite": True, "resume": True}, "both --overwrite and --resume"),
        ({"threads": 0}, "number of threads: got 0"),
    ):
        with pytest.raises(UsageError, match=told):
            scan(tmp_path / "card.toml", both, tmp_path / "scan", **options)
    assert [entry.name for entry in tmp_path.iterdir()] == ["card.toml"]


def test_refused_outputs(nnft: Nnft, scanned: Nnft) -> None:
    card = nnft.card()
    (nnft.folder / "file").write_text("text", encoding="utf-8")
    (nnft.folder / "full").mkdir()
    (nnft.folder / "full" / "thesis.tex").write_text("text", encoding="utf-8")
    refused(nnft("scan", card, "--set", WIDTHS, "-o", "file"), 2, "is no folder", "'file'")
    refused(nnft("scan", card, "--set", WIDTHS, "-o", "file/scan"), 2, "scan")
    refused(nnft("scan", card, "--set", WIDTHS, "-o", "no/scan"), 2, "does not exist")
    refused(nnft("scan", card, "--set", WIDTHS, "-o", "full"), 2, "holds other files")
    refused(nnft("scan", card, "--set", WIDTHS, "-o", "s" * 300), 2, "name too long")
    refused(nnft("scan", "no.toml", "--set", WIDTHS, "-o", "scan"), 2, "no such card")
    refused(nnft("scan", "--set", WIDTHS, "-o", "scan"), 2, "no card")
    assert sorted(entry.name for entry in nnft.folder.iterdir()) == ["card.toml", "file", "full"]
    folder = scanned.folder / "scan"
    before = (folder / "index.json").read_bytes()
    refused(scanned("scan", "card.toml", "--set", WIDTHS, "-o", "scan"), 2, "--overwrite or --resume")
    assert (folder / "index.json").read_bytes() == before


@pytest.mark.long
def test_resume_refuses_another_scan_line_by_line(scanned: Nnft) -> None:
    before = (scanned.folder / "scan" / "index.json").read_bytes()
    go_on = ["-o", "scan", "--resume", "--quiet"]
    other = scanned("scan", "card.toml", "--set", "network.widths=[[4],[9]]", *go_on)
    refused(other, 2, "another key in --set network.activation", "got nothing")
    activations = ["--set", 'network.activation=["erf","tanh"]']
    left = scanned("scan", "card.toml", "--set", "network.widths=[[4],[9]]", *activations, *go_on)
    refused(left, 2, "value left out in --set network.widths", "[[8]]")
    (scanned.folder / "other.toml").write_text(
        card_text().replace("[inputs]", "bias_variance = 0.5\n[inputs]").replace("1000", "999"),
        encoding="utf-8",
    )
    changed = scanned("scan", "other.toml", *go_on)
    refused(changed, 2, "another value in network.bias_variance", "0.5")
    seed = scanned("scan", scanned.card("seed.toml", seed=8), *go_on)
    refused(seed, 2, "another value in ensemble.seed", "got 8", str(SEED))
    step = scanned("scan", "card.toml", "--set", WIDTHS, *activations, "--together", *go_on)
    refused(step, 2, "--together")
    assert (scanned.folder / "scan" / "index.json").read_bytes() == before
