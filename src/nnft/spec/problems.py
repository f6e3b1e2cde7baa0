"""One line for every mistake of a card: where, what was found, what is allowed, the nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, Tag
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from nnft.errors import CardError, shorten

LINE_LIMIT = 187
"""Characters of one line; the command line puts ``nnft: error: `` in front."""

MOST_LINES = 20
MISTAKE = "nnft_mistake"

_WHAT = {
    "missing": "missing key",
    "extra_forbidden": "unknown key",
    "invalid_key": "unknown key",
    "literal_error": "unknown value",
    "finite_number": "number not finite",
    "greater_than": "number out of range",
    "greater_than_equal": "number out of range",
    "less_than": "number out of range",
    "less_than_equal": "number out of range",
    "too_short": "too few values",
    "too_long": "too many values",
    "string_too_short": "empty text",
    "string_too_long": "text too long",
}


def mistake(what: str, allowed: str, got: str, key: str = "") -> PydanticCustomError:
    """Return an error for a validator of a model to raise.

    Parameters
    ----------
    what : str
        What is wrong, without the key.
    allowed : str
        What would be right.
    got : str
        What was found, as text.
    key : str, optional
        Key below the validated one, when the mistake sits deeper.
    """
    return PydanticCustomError(MISTAKE, "{what}", {"what": what, "allowed": allowed, "got": got, "key": key})


def shown(value: object, limit: int = 40) -> str:
    """Return a short text for any value: nothing large is ever converted as a whole."""
    if isinstance(value, Mapping):
        return f"a table of {len(value)} keys"
    if isinstance(value, list | tuple):
        return "an empty list" if not value else f"a list of {len(value)} values"
    if isinstance(value, int) and value.bit_length() > 192:
        return f"a whole number of about {value.bit_length() * 30103 // 100000 + 1} digits"
    if isinstance(value, str):
        return shorten(value[: 2 * limit], limit)
    if value is None or isinstance(value, bool):
        return {True: "true", False: "false", None: "nothing"}[value]
    return repr(value) if isinstance(value, int | float) else f"a value of type {type(value).__name__}"


OTHER_NAMES = {
    "learning_rate": "step",
    "lr": "step",
    "eta": "step",
    "step_size": "step",
    "optimizer": "algorithm",
    "sampler": "algorithm",
    "iterations": "steps",
    "batch": "batch_size",
    "burnin": "burn_in",
    "warmup": "burn_in",
    "samples": "draws",
    "noise": "noise_variance",
}
"""What other programs call a key."""


def nearest(name: object, names: Iterable[str]) -> str | None:
    """Return the valid name closest to `name`, or None when nothing is close."""
    if not isinstance(name, str):
        return None
    known = list(names)
    if OTHER_NAMES.get(name.casefold()) in known:
        return OTHER_NAMES[name.casefold()]
    folded = {known_name.casefold(): known_name for known_name in known}
    found = difflib.get_close_matches(name[:80].casefold(), list(folded), n=1, cutoff=0.5)
    return folded[found[0]] if found else None


def line(what: str, key: str, got: str, advice: str, file: str | None = None) -> str:
    """Return ``<what> in <file>, <key>: got <value>; <advice>``, cut to one line."""
    place = ", ".join(part for part in (shorten(file, 50).strip("'\"") if file else "", key) if part)
    text = f"{what} in {place or 'the specification'}: got {got}; {advice}"
    text = " ".join(text.split())
    return text if len(text) <= LINE_LIMIT else text[: LINE_LIMIT - 3] + "..."


def card_error(model: type[BaseModel], errors: Sequence[ErrorDetails], file: str | None = None) -> CardError:
    """Return one `CardError` that holds a line for each mistake pydantic found.

    Parameters
    ----------
    model : type of BaseModel
        The model that refused; its fields' descriptions say what is allowed.
    errors : sequence of ErrorDetails
        ``ValidationError.errors()`` of that model.
    file : str, optional
        Name of the card, put in front of the key.
    """
    lines = [_describe(model, error, file) for error in errors[:MOST_LINES]]
    if len(errors) > MOST_LINES:
        lines.append(f"{len(errors) - MOST_LINES} more mistakes of this card are not shown")
    return CardError(lines)


def _describe(model: type[BaseModel], error: ErrorDetails, file: str | None) -> str:
    key, field, owner = _locate(model, error["loc"])
    context: dict[str, Any] = error.get("ctx", {})
    kind = error["type"]
    if kind == MISTAKE:
        deeper = str(context["key"])
        key = f"{key}{'' if deeper.startswith('[') or not deeper else '.'}{deeper}"
        return line(str(context["what"]), key, str(context["got"]), str(context["allowed"]), file)
    what = _WHAT.get(kind, "wrong type")
    if what == "unknown key":
        name = error["loc"][-1]
        return line(what, key, shown(name), _advice(name, owner.model_fields), file)
    allowed = (field.description if field else None) or "a table"
    if kind == "missing":
        return line(what, key, "nothing", f"give {allowed}", file)
    advice = f"allowed: {allowed}"
    if kind == "literal_error" and field is not None:
        close = nearest(error["input"], _words(field.annotation))
        advice = f"did you mean {close!r}? {advice}" if close else advice
    return line(what, key, shown(error["input"]), advice, file)


def _advice(name: object, names: Iterable[str]) -> str:
    close = nearest(name, names)
    return f"did you mean {close!r}?" if close else "allowed: " + ", ".join(names)


def _words(annotation: object) -> list[str]:
    """Return every word that occurs in the literals of a type annotation."""
    if isinstance(annotation, str):
        return [annotation]
    return [word for part in get_args(annotation) for word in _words(part)]


def _locate(
    model: type[BaseModel], location: Sequence[str | int]
) -> tuple[str, FieldInfo | None, type[BaseModel]]:
    """Return the dotted key, the innermost field and the model that owns it."""
    key, field, owner = "", None, model
    inside: type[BaseModel] | None = model
    for part in location:
        if isinstance(part, int):
            key += f"[{part}]"
        elif field is not None and part.startswith("<") and inside is None:
            inside = _model_of_branch(field.annotation, part)
        elif inside is not None:
            name = part if part.isprintable() and len(part) <= 40 else shorten(part[:80], 40)
            key += f".{name}" if key else name
            owner, field = inside, inside.model_fields.get(part)
            inside = _model_in(field.annotation) if field else None
    return key, field, owner


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Return the model of a table, also of one that may be left out."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _model_of_branch(annotation: object, branch: str) -> type[BaseModel] | None:
    """Return the model of one branch of a table of several kinds."""
    for kind in get_args(annotation):
        tags = [part.tag for part in get_args(kind)[1:] if isinstance(part, Tag)]
        if branch in tags:
            return _model_in(get_args(kind)[0])
    return None
