"""The cards and the data that come with the project."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from nnft.errors import UsageError
from nnft.spec import RunSpec, examples, plan_run

ROOT = Path(__file__).resolve().parents[2]
CARDS = sorted((ROOT / "data" / "cards").glob("*.toml"))


@pytest.mark.parametrize("name", examples.names())
def test_examples_are_self_contained_and_commented(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = examples.text(name)
    assert text.startswith("# ")
    assert text.isascii()
    spec = RunSpec.from_text(text)
    assert not spec.ensemble.seed_was_drawn
    assert plan_run(spec).seconds < 60.0


def test_unknown_example_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'deep-relu'") as caught:
        examples.text("deeprelu")
    assert caught.value.exit_code == 2
    for name in ("../pyproject", "", "digits16.toml"):
        with pytest.raises(UsageError):
            examples.text(name)


def test_every_card_of_the_data_folder_is_an_example() -> None:
    assert [card.stem for card in CARDS] == examples.names()


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.stem)
def test_card_and_example_are_the_same_run(card: Path) -> None:
    assert RunSpec.from_card(card).digest() == RunSpec.from_text(examples.text(card.stem)).digest()


def test_digits_are_the_images_of_the_source() -> None:
    spec = RunSpec.from_card(ROOT / "data" / "cards" / "digits16.toml")
    assert spec.ensemble.networks == 100_000
    points = spec.mesh().points
    assert points.shape == (16, 64)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1.0, rtol=4e-16)
    pixels = np.loadtxt(ROOT / "data" / "digits16.csv", delimiter=",", dtype=np.int64)
    assert pixels.min() == 0
    assert pixels.max() == 16
    np.testing.assert_allclose(points, pixels / np.linalg.norm(pixels, axis=1)[:, None], rtol=1e-15)


def test_readme_states_the_digest_of_the_data() -> None:
    digest = hashlib.sha256((ROOT / "data" / "digits16.csv").read_bytes()).hexdigest()
    readme = (ROOT / "data" / "README.md").read_text()
    assert digest in readme
    assert "CC BY 4.0" in readme
    assert all(card.name in readme for card in CARDS)
