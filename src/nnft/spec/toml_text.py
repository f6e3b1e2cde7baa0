"""Writing the few kinds of values a card holds as TOML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def toml_text(card: Mapping[str, object]) -> str:
    """Return TOML of plain keys followed by tables of plain keys.

    Parameters
    ----------
    card : mapping
        Values are numbers, text, booleans, sequences of these, or one level of mappings. Numbers come back
        with the same bits.
    """
    plain = {key: value for key, value in card.items() if not isinstance(value, Mapping)}
    parts = ["\n".join(f"{key} = {_value(value)}" for key, value in plain.items())] if plain else []
    for name, table in card.items():
        if isinstance(table, Mapping):
            parts.append(
                "\n".join([f"[{name}]", *(f"{key} = {_value(value)}" for key, value in table.items())])
            )
    return "\n\n".join(parts) + "\n"


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
