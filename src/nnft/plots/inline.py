"""Pictures inside of a page: one element each, without references to anything outside of it."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
COORDINATES = ("d", "x", "y", "width", "height")
COARSE_DOTS = 110
"""Dots per inch of a picture whose vectors take too much room."""

_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_REFERENCE = re.compile(r"url\(#([^)]*)\)")


def inline_svg(figure: Figure, key: str, title: str, text: str) -> str:
    """Return a figure as one ``<svg>`` element for a page.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Drawn and saved inside of `nnft.plots.style.house_style`, which draws letters as paths.
    key : str
        Begins every identifier, so that those of two pictures never meet.
    title, text : str
        Name of the picture and what it shows, for those who do not see it.

    Returns
    -------
    str
        With width, height and viewBox. The same figure gives the same text.

    Notes
    -----
    Coordinates are rounded to a hundredth of a point. The rule ``* {stroke-linejoin: round; stroke-linecap:
    butt}``, which would hold for the whole page, is left to the page's own style.
    """
    content = io.BytesIO()
    figure.savefig(content, format="svg", metadata={"Date": None})
    root = ET.fromstring(content.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{SVG}metadata", f"{SVG}style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        element.attrib = dict(_attributes(element, key))
    return _element(root, key, title, text)


def inline_pixels(figure: Figure, key: str, title: str, text: str) -> str:
    """Return a figure as one ``<svg>`` element around an image of 110 dots per inch; see `inline_svg`."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=COARSE_DOTS, metadata={"Software": None})
    width, height = (72.0 * float(inches) for inches in figure.get_size_inches())
    size = {"width": f"{width:g}", "height": f"{height:g}"}
    root = ET.Element("svg", {name: f"{number}pt" for name, number in size.items()})
    root.set("viewBox", f"0 0 {width:g} {height:g}")
    encoded = base64.b64encode(content.getvalue()).decode("ascii")
    ET.SubElement(root, "image", {**size, "href": f"data:image/png;base64,{encoded}"})
    return _element(root, key, title, text)


def _attributes(element: ET.Element, key: str) -> Iterator[tuple[str, str]]:
    """Yield the attributes of an element without name spaces, with the identifiers of this picture."""
    for name, value in element.attrib.items():
        if name == "id":
            yield "id", f"{key}-{value}"
        elif name in (LINK, "href"):
            yield "href", f"#{key}-{value[1:]}" if value.startswith("#") else value
        elif name in COORDINATES and element.tag != "svg":
            yield name, _NUMBER.sub(_rounded, value)
        elif not name.startswith("{"):
            yield name, _REFERENCE.sub(rf"url(#{key}-\1)", value)


def _rounded(number: re.Match[str]) -> str:
    text = f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _element(root: ET.Element, key: str, title: str, text: str) -> str:
    """Return the text of an element that says what it is."""
    root.set("role", "img")
    root.set("aria-labelledby", f"{key}-title {key}-text")
    for place, (name, said) in enumerate((("title", title), ("desc", text))):
        element = ET.Element(name, {"id": f"{key}-{'text' if place else 'title'}"})
        element.text = said
        root.insert(place, element)
    for element in root.iter():
        if element.text is not None and not element.text.strip():
            element.text = None
        element.tail = "\n" if element.tail and element is not root else None
    return ET.tostring(root, encoding="unicode")
