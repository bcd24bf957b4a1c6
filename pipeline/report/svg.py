"""A matplotlib figure as inline SVG that lives by the page: its colours, its font, its Content-Security-Policy.

Plots are drawn in stand-in colours (`INK`, `TONE`, ...) that become the page's custom properties, so that one picture
serves light and dark. Text stays text. Inline styles, which the policy forbids, become presentation attributes.
"""

from __future__ import annotations

import io
import re
import warnings
from typing import Any, Final
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

_SVG: Final = "http://www.w3.org/2000/svg"
_XLINK: Final = "http://www.w3.org/1999/xlink"

# Stand-in colour -> custom property of the page's style.
INK, QUIET, LINE, PANEL, ACCENT = "#010101", "#020202", "#030303", "#040404", "#050505"
TONE: Final = {
    "supported": "#060606",
    "contradicted": "#070707",
    "unsupported": "#080808",
    "unverified": "#090909",
}
_PROPERTIES: Final = {
    INK: "--ink",
    QUIET: "--quiet",
    LINE: "--line",
    PANEL: "--paper",
    ACCENT: "--accent",
    **{colour: f"--{verdict}" for verdict, colour in TONE.items()},
}
STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "balto",  # ids that depend on nothing but the drawing
    "text.parse_math": False,  # a `$` in a policy's name is a dollar
    "font.size": 11,
    "hatch.linewidth": 0.8,
    "axes.edgecolor": LINE,
    "axes.labelcolor": QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "legend.frameon": False,
}


def to_svg(figure: Figure, key: str, description: str) -> str:
    """The figure as an <svg> element.   key: keeps its ids apart from other pictures' on the page."""
    sink = io.BytesIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of its own font; the page's is another
        FigureCanvasSVG(figure).print_svg(sink, metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(sink.getvalue())  # noqa: S314  # what matplotlib just wrote
    for child in list(root):
        if child.tag.endswith("metadata"):
            root.remove(child)
    for parent in root.iter():
        for child in list(parent):
            if child.tag == f"{{{_SVG}}}style":
                parent.remove(child)
        _mend(parent, key)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-label": description, "stroke-linejoin": "round"}
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def _mend(element: ElementTree.Element, key: str) -> None:
    """Inline styles as attributes, stand-ins as custom properties, ids of this picture only."""
    for declaration in element.attrib.pop("style", "").split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name == "font":  # a shorthand, which is no attribute; the family is the page's
            size = re.search(r"([\d.]+)px", value)
            element.attrib |= {"font-size": size[1]} if size else {}
            element.attrib |= {"font-weight": "600"} if value.startswith(("bold", "600", "700")) else {}
        elif name and not name.startswith("font-family"):
            element.attrib[name] = value
    if element.tag == f"{{{_SVG}}}g":
        element.attrib.pop("id", None)  # nothing refers to a group
    for name, value in element.attrib.items():
        if name == "id":
            element.attrib[name] = f"{key}-{value}"
        elif name.endswith("href"):
            element.attrib[name] = f"#{key}-{value.removeprefix('#')}"
        elif value.startswith("url(#"):
            element.attrib[name] = f"url(#{key}-{value.removeprefix('url(#')}"
        elif value in _PROPERTIES:
            element.attrib[name] = f"var({_PROPERTIES[value]})"
