"""Scans under kills, signals, time budgets, second writers, damage and failing members."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command_line import SCRIPT, SEED, Nnft, finish, networks_done, refused
from test_scan import digests, index_of

from nnft.store.verify import verify_file

SETS = ["--set", "network.widths=[[4],[8],[12],[16],[20]]"]
FIVE = [f"widths-{width}" for width in (4, 8, 12, 16, 20)]
ENDLESS = 50_000_000


def busy_card(nnft: Nnft, networks: int = 60_000) -> Path:
    """A card whose members take some tenths of a second, with checkpoints all the time."""
    return nnft.card(networks=networks, checkpoint_seconds=0.1, ensemble="block_size = 64", fields="5000")


def wait_for_file(path: Path, process: subprocess.Popen[str], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def kill_at_random(nnft: Nnft, folder: str, chance: random.Random) -> bool:
    """Start or go on with a scan and kill it; False if it ended before."""
    started = (nnft.folder / folder / "index.json").exists()
    words = ["--resume"] if started else ["card.toml", *SETS]
    process = nnft.start("scan", *words, "-o", folder, "--quiet")
    wait_for_file(nnft.folder / folder / "index.json", process)
    time.sleep(chance.uniform(0.0, 1.5))
    process.kill()
    return finish(process).code != 0


def kill_and_compare(nnft: Nnft, scans: int, kills: int) -> None:
    card = busy_card(nnft)
    assert nnft("scan", card, *SETS, "-o", "whole", "--quiet").code == 0
    whole, killed = digests(nnft.folder / "whole"), 0
    for number in range(scans):
        chance, folder = random.Random(SEED + number), nnft.folder / f"scan{number}"
        for _ in range(kills):
            killed += kill_at_random(nnft, folder.name, chance)
            for member in index_of(folder)["members"]:
                path = folder / member["file"]
                if path.exists():
                    assert verify_file(path) == []
                    assert networks_done(path) >= member["networks_done"]
                else:
                    assert member["state"] in ("planned", "running")
        end = nnft("scan", "--resume", "-o", folder.name, "--quiet")
        assert end.code == 0, end
        assert digests(folder) == whole
        names = {entry.name for entry in folder.iterdir()}
        assert names == {entry.name for entry in (nnft.folder / "whole").iterdir()}
    assert killed >= scans * kills * 0.6


@pytest.mark.long
def test_kills(nnft: Nnft) -> None:
    kill_and_compare(nnft, scans=1, kills=4)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_many_kills(nnft: Nnft) -> None:
    kill_and_compare(nnft, scans=10, kills=5)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_commits_and_prints_the_command_that_goes_on(nnft: Nnft, number: int, code: int) -> None:
    nnft.card(networks=ENDLESS, checkpoint_seconds=1000)
    process = nnft.start("scan", "card.toml", *SETS, "-o", "a scan", "--quiet")
    wait_for_file(nnft.folder / "a scan" / "widths-4.h5", process)
    time.sleep(0.5)
    sent = time.monotonic()
    process.send_signal(number)
    end = finish(process, sent)
    assert end.code == code, end
    assert end.seconds < 10
    assert end.lines == ["nnft: stopped at member 1 of 5, 0 done; go on with: nnft scan --resume -o 'a scan'"]
    done = networks_done(nnft.folder / "a scan" / "widths-4.h5")
    first, second, *_ = index_of(nnft.folder / "a scan")["members"]
    assert (first["state"], first["networks_done"], second["state"]) == ("running", done, "planned")
    assert 0 < done < ENDLESS
    names = sorted(entry.name for entry in (nnft.folder / "a scan").iterdir())
    assert names == ["index.json", "widths-4.h5", "widths-4.h5.previous"]
    status = nnft("status", "a scan")
    assert "stopped; go on with nnft scan --resume" in status.out
    assert f"{done} of {5 * ENDLESS}" in status.out


@pytest.mark.long
def test_time_budget_is_that_of_the_whole_scan(nnft: Nnft) -> None:
    card = busy_card(nnft, 20_000)
    none = nnft("scan", card, *SETS, "-o", "scan", "--quiet", "--max-time", "0")
    assert none.code == 75
    assert none.lines == ["nnft: stopped at member 1 of 5, 0 done; go on with: nnft scan --resume -o scan"]
    codes = []
    while not codes or (codes[-1] == 75 and len(codes) < 60):
        codes.append(nnft("scan", "--resume", "-o", "scan", "--quiet", "--max-time", "1").code)
    assert codes[-1] == 0
    assert set(codes[:-1]) <= {75}
    assert nnft("scan", card, *SETS, "-o", "whole", "--quiet").code == 0
    assert digests(nnft.folder / "scan") == digests(nnft.folder / "whole")


@pytest.mark.long
def test_signal_while_kernels_compile(nnft: Nnft) -> None:
    nnft.card(networks=ENDLESS)
    (nnft.folder / "empty-cache").mkdir()
    process = nnft.start(
        "scan", "card.toml", *SETS, "-o", "scan", env={"NNFT_CACHE_DIR": str(nnft.folder / "empty-cache")}
    )
    wait_for_file(nnft.folder / "scan" / "index.json", process)
    process.send_signal(signal.SIGTERM)
    end = finish(process)
    assert end.code == 143, end
    assert end.lines[-1].endswith("go on with: nnft scan --resume -o scan")
    assert nnft("scan", "--resume", "-o", "scan", "--quiet", "--max-time", "0").code == 75


@pytest.mark.long
def test_second_scan_in_the_folder_is_refused(nnft: Nnft) -> None:
    nnft.card(networks=ENDLESS, checkpoint_seconds=0.1)
    process = nnft.start("scan", "card.toml", *SETS, "-o", "scan", "--quiet")
    wait_for_file(nnft.folder / "scan" / "widths-4.h5", process)
    for words in (["--resume"], ["card.toml", *SETS, "--overwrite"], ["--resume", "--break-lock"]):
        second = nnft("scan", *words, "-o", "scan", "--quiet")
        refused(second, 4, f"process {process.pid}", "since")
    refused(nnft("scan", "card.toml", *SETS, "-o", "scan"), 2, "--overwrite or --resume")
    alone = nnft("sample", "card.toml", "-o", "scan/widths-4.h5", "--overwrite", "--quiet")
    refused(alone, 4, f"process {process.pid}")
    assert "running (process" in nnft("status", "scan").out
    process.kill()
    assert finish(process).code == -signal.SIGKILL
    after = nnft("scan", "--resume", "-o", "scan", "--quiet", "--max-time", "0")
    assert after.code == 75
    assert any("took over the lock" in line for line in after.lines)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, kernel_cache: Path) -> Nnft:
    """A finished scan of five small members in ``whole``."""
    nnft = Nnft(tmp_path_factory.mktemp("template"), kernel_cache)
    assert nnft("scan", nnft.card(), *SETS, "-o", "whole", "--quiet").code == 0
    return nnft


@pytest.fixture
def done(template: Nnft, nnft: Nnft) -> Nnft:
    """A copy of it, in ``scan``."""
    (nnft.folder / "scan").mkdir()
    for entry in (template.folder / "whole").iterdir():
        (nnft.folder / "scan" / entry.name).write_bytes(entry.read_bytes())
    return nnft


def test_deleted_member_is_sampled_again(done: Nnft) -> None:
    wanted = digests(done.folder / "scan")
    (done.folder / "scan" / "widths-12.h5").unlink()
    again = done("scan", "--resume", "-o", "scan", "--quiet")
    assert (again.code, again.lines) == (0, ["nnft: file of member widths-12 is gone: sampling it again"])
    assert digests(done.folder / "scan") == wanted


@pytest.mark.long
def test_damaged_members_are_named_and_the_others_kept(done: Nnft) -> None:
    wanted = digests(done.folder / "scan")
    damaged = done.folder / "scan" / "widths-12.h5"
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    (done.folder / "scan" / "widths-16.h5").unlink()
    again = done("scan", "--resume", "-o", "scan", "--quiet")
    assert (again.code, again.out) == (3, "")
    assert again.lines[-1].startswith("nnft: error: 1 of 5 members failed, widths-12: ")
    assert all(len(line) <= 200 for line in again.lines)
    assert [member["state"] for member in index_of(done.folder / "scan")["members"]] == [
        "done", "done", "failed", "done", "done",
    ]  # fmt: skip
    assert damaged.read_bytes() == content[: len(content) // 2]
    damaged.unlink()
    assert done("scan", "--resume", "-o", "scan", "--quiet").code == 0
    assert digests(done.folder / "scan") == wanted


@pytest.mark.long
def test_member_file_of_another_run_is_not_taken(done: Nnft) -> None:
    folder = done.folder / "scan"
    (folder / "widths-4.h5").write_bytes((folder / "widths-8.h5").read_bytes())
    again = done("scan", "--resume", "-o", "scan", "--quiet")
    assert again.code == 3
    assert "another run in 'widths-4.h5'" in again.lines[-1]


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text[: len(text) // 2], "no JSON"),
        (lambda text: "", "no JSON"),
        (lambda text: "[" * 100_000, "no JSON"),
        (lambda text: "{}", "another kind of file"),
        (lambda text: text.replace('"format_version": 1', '"format_version": 2'), "version 2; supported: 1"),
        (lambda text: text.replace('"networks": 400', '"networks": 401', 1), "wrong checksum"),
        (lambda text: text.replace("widths-4", "../widths-4"), "wrong checksum"),
    ],
)  # fmt: skip
def test_damaged_index_is_refused_and_left_as_it_is(done: Nnft, change: object, told: str) -> None:
    index = done.folder / "scan" / "index.json"
    text = change(index.read_text(encoding="utf-8"))  # type: ignore[operator]
    index.write_text(text, encoding="utf-8")
    for words in (
        ["scan", "--resume", "-o", "scan"],
        ["scan", "--resume", "card.toml", *SETS, "-o", "scan"],
        ["show", "scan"],
        ["status", "scan"],
        ["extrapolate", "scan"],
    ):
        if "card.toml" in words:
            done.card()
        refused(done(*words), 3, "scan", told)
    assert index.read_text(encoding="utf-8") == text


@pytest.mark.long
def test_index_with_a_foreign_name_and_a_right_checksum(done: Nnft) -> None:
    """No index makes nnft touch a file outside the folder."""
    from nnft.analysis.scan_index import _checksum

    path = done.folder / "scan" / "index.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["members"][0]["name"] = "../card"
    del content["checksum"]
    path.write_text(json.dumps(content | {"checksum": _checksum(content)}), encoding="utf-8")
    refused(done("scan", "--resume", "-o", "scan"), 3, "damaged", "../card")


@pytest.mark.long
def test_overflow_of_one_member_leaves_the_others(nnft: Nnft) -> None:
    card = nnft.card(activation="exp", widths="[4, 4]")
    words = ["--set", "network.weight_variance=[0.1,1e6,0.2]"]
    end = nnft("scan", card, *words, "-o", "scan")
    assert end.code == 5, end
    assert end.lines[-1].startswith("nnft: error: 1 of 3 members failed, weight_variance-1000000.0: ")
    states = [member["state"] for member in index_of(nnft.folder / "scan")["members"]]
    assert states == ["done", "failed", "done"]
    assert "2 of 3 members done" in end.out
    assert "weight_variance-1000000.0: " in nnft("status", "scan").out
    again = nnft("scan", "--resume", "-o", "scan", "--quiet")
    assert again.code == 5
    assert again.lines[-1] == end.lines[-1]


@pytest.mark.long
def test_deformation_too_strong_in_one_member(nnft: Nnft) -> None:
    """Its networks are all sampled, but their weights say nothing: exit code 5 in the end."""
    card = nnft.card(widths="[]", activation="linear", networks=4000)
    card.write_text(card.read_text(encoding="utf-8") + "[deformation]\nphi4 = 0.1\n", encoding="utf-8")
    end = nnft("scan", card, "--set", "deformation.phi4=[0.1,1e9,0.2]", "-o", "scan")
    assert end.code == 5, end
    assert end.lines[-1].startswith("nnft: error: 1 of 3 members failed, phi4-1000000000.0: weights out of")
    assert all(len(line) <= 200 for line in end.lines)
    states = [member["state"] for member in index_of(nnft.folder / "scan")["members"]]
    assert states == ["done", "failed", "done"]
    fitted = nnft("extrapolate", "scan", "--against", "deformation.phi4", "--powers", "1")
    assert fitted.code == 0, fitted
    assert "left out, failed: phi4-1000000000.0" in fitted.out


@pytest.mark.long
def test_full_disk_ends_the_scan_with_the_last_index(nnft: Nnft) -> None:
    card = nnft.card(networks=400, fields="0")
    end = nnft(
        "scan", card, *SETS, "-o", "scan", "--quiet", prefix=("prlimit", "--fsize=20000", "--", SCRIPT)
    )
    assert end.code == 4, end
    assert "File too large" in end.lines[-1]
    assert [member["state"] for member in index_of(nnft.folder / "scan")["members"]][:2] == [
        "running",
        "planned",
    ]
    assert nnft("scan", "--resume", "-o", "scan", "--quiet").code == 0
