"""A matplotlib figure as an SVG element of the same bytes each time, coloured by classes."""

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

WIDTH, TEXT = 400, 12  # CSS pixels; a phone shows them almost as they are
TOP, BOTTOM = 8, 44
# Stand-ins for the classes fill-NAME and stroke-NAME.
INK, SOFT, LINE, BETTER, WORSE, PAPER = (f"#0000{number:02x}" for number in range(1, 7))
NAMES = {INK: "ink", SOFT: "soft", LINE: "line", BETTER: "better", WORSE: "worse", PAPER: "paper"}
SETTINGS = {
    "svg": {"fonttype": "none", "hashsalt": "report"},
    "font": {"size": TEXT},
    "text": {"color": INK, "parse_math": False},
    "axes": {"edgecolor": LINE, "labelcolor": SOFT, "linewidth": 1, "axisbelow": True, "grid": True},
    "axes.spines": {"top": False, "right": False, "left": False},
    "grid": {"color": LINE, "linewidth": 1},
    "xtick": {"color": LINE, "labelcolor": SOFT, "major.size": 0},
    "ytick": {"color": LINE, "labelcolor": SOFT, "major.size": 0},
}
KEPT = {"stroke-width", "stroke-dasharray", "stroke-dashoffset", "stroke-linecap", "stroke-linejoin", "text-anchor"}
KEPT |= {"font-weight", "fill-opacity", "stroke-opacity", "opacity", "fill", "stroke"}
NUMBER = re.compile(r"-?\d+\.\d+")


def drawn(name: str, label: str, height: int, draw: Callable[[Axes], None], *, left: int, right: int) -> str:
    """What `draw` draws on axes with these margins, as an SVG element with an aria-label."""
    # The reader's own matplotlibrc must not change a byte.
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        for group, values in SETTINGS.items():
            matplotlib.rc(group, **values)
        figure = Figure(figsize=(WIDTH / 72, height / 72), facecolor="none")
        FigureCanvasSVG(figure)
        inner = ((WIDTH - left - right) / WIDTH, (height - TOP - BOTTOM) / height)
        axes = figure.add_axes((left / WIDTH, BOTTOM / height, *inner), facecolor="none")
        draw(axes)
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    root = ET.fromstring(file.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = _attributes(element.attrib, name)
    root.attrib = {"viewBox": f"0 0 {WIDTH} {height}", "role": "img", "aria-label": label, "class": "chart"}
    return ET.tostring(root, encoding="unicode")


def _attributes(attributes: dict[str, str], name: str) -> dict[str, str]:
    """Attributes without styles, which the page's policy forbids, and with ids of this chart."""
    kept: dict[str, str] = {}
    for key, value in attributes.items():
        key = key.rpartition("}")[2]
        if key == "style":
            kept |= _style(value)
        elif key == "id":
            if re.fullmatch(r"[mp][0-9a-f]{10}", value):
                kept["id"] = f"{name}-{value}"
        elif key == "href":
            kept["href"] = f"#{name}-{value[1:]}"
        elif key == "clip-path":
            kept[key] = value.replace("#", f"#{name}-")
        else:
            # Hundredths of a pixel: the last digits of a float differ between machines.
            kept[key] = " ".join(NUMBER.sub(lambda match: f"{float(match[0]):.2f}", value).split())
    return kept


def _style(style: str) -> dict[str, str]:
    kept, classes = {}, []
    for one in style.split("; "):
        key, _, value = one.partition(": ")
        if value in NAMES:
            classes.append(f"{key}-{NAMES[value]}")
        elif key in KEPT:
            kept[key] = value
    return kept | ({"class": " ".join(classes)} if classes else {})
