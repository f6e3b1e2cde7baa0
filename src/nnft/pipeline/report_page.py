"""A report as one page of HTML that refers to nothing outside of itself."""

from __future__ import annotations

import unicodedata
from dataclasses import fields, is_dataclass, replace
from typing import Any

from nnft.analysis.report_record import ReportContent
from nnft.errors import EnvironmentRefusal, shorten

GENERATOR = "nnft report"
TEMPLATE = "report.html.jinja"
HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Classes of characters that are not seen, or change the order of what is read."""


def require_report_extra() -> None:
    """Refuse where the libraries of the extra ``report`` cannot be imported.

    Raises
    ------
    EnvironmentRefusal
    """
    import importlib

    install = 'pip install "nnft[report]"'
    for name in ("jinja2", "matplotlib"):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as failure:
            raise EnvironmentRefusal(
                f"{name} is missing: got no module {shorten(failure.name)}; {install}"
            ) from failure
        except ImportError as failure:
            raise EnvironmentRefusal(
                f"{name} cannot be imported: got {shorten(str(failure))}; {install} --upgrade"
            ) from failure


def page_of(content: ReportContent, *, made_at: str, version: str) -> str:
    """Return a report as a page.

    Parameters
    ----------
    content : ReportContent
        Every text of it is escaped, and characters that are not seen are written out; pictures are put in as
        they are.
    made_at : str
        Time, ISO 8601.
    version : str
        Of nnft.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nnft.pipeline", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template(TEMPLATE)
    return template.render(
        content=_visible_everywhere(content), made_at=made_at, version=version, generator=GENERATOR
    )


def visible(text: str) -> str:
    """Return a text in which every character is seen: others become ``\\u202e`` and the like.

    Line ends and tabs stay.
    """
    plain = text.replace("\r\n", "\n")
    return "".join(one if _is_seen(one) else _written_out(one) for one in plain)


def _is_seen(character: str) -> bool:
    return character in "\n\t" or unicodedata.category(character) not in HIDDEN


def _written_out(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _visible_everywhere(value: Any) -> Any:
    """Return a record with `visible` texts; pictures are elements already and stay."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, tuple):
        return tuple(map(_visible_everywhere, value))
    if is_dataclass(value) and not isinstance(value, type):
        parts = [part.name for part in fields(value) if part.name != "svg"]
        return replace(value, **{name: _visible_everywhere(getattr(value, name)) for name in parts})
    return value
