"""The commented example cards that come with the package."""

from __future__ import annotations

from importlib.resources import files

from nnft.errors import UsageError
from nnft.spec.problems import line, nearest, shown

_CARDS = files("nnft") / "cards"


def names() -> list[str]:
    """Return the names of the example cards, sorted."""
    return sorted(card.name.removesuffix(".toml") for card in _CARDS.iterdir() if card.name.endswith(".toml"))


def text(name: str) -> str:
    """Return an example card.

    Parameters
    ----------
    name : str
        One of `names`.

    Raises
    ------
    UsageError
        There is no such example; names the nearest one.
    """
    known = names()
    if name not in known:
        close = nearest(name, known)
        hint = f"did you mean {close!r}? " if close else ""
        raise UsageError(
            line("unknown example", "", shown(name), f"{hint}allowed: {', '.join(known)}", "--example")
        )
    return (_CARDS / f"{name}.toml").read_text(encoding="utf-8")
