"""Writing the few kinds of values a card holds as TOML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def toml_text(card: Mapping[str, object]) -> str:
    """Return TOML of plain keys followed by tables.

    Parameters
    ----------
    card : mapping
        Values are numbers, text, booleans, sequences of these, or mappings of the same, to any depth. Numbers
        come back with the same bits.
    """
    return "\n\n".join(_tables(card, "")) + "\n"


def _tables(card: Mapping[str, object], name: str) -> Iterator[str]:
    """Yield the text of a table, then those of the tables in it."""
    plain = [f"{key} = {_value(value)}" for key, value in card.items() if not isinstance(value, Mapping)]
    lines = [f"[{name}]", *plain] if name else plain
    if lines:
        yield "\n".join(lines)
    for key, value in card.items():
        if isinstance(value, Mapping):
            yield from _tables(value, f"{name}.{key}" if name else key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return '"' + "".join(_character(character) for character in value) + '"'
    if isinstance(value, Sequence):
        nested = any(isinstance(item, Sequence) and not isinstance(item, str) for item in value)
        items = [_value(item) for item in value]
        return "[\n    " + ",\n    ".join(items) + ",\n]" if nested else "[" + ", ".join(items) + "]"
    raise TypeError(f"no TOML for {type(value).__name__}")


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if ord(character) < 32 or ord(character) == 127:
        return f"\\u{ord(character):04x}"
    return character
