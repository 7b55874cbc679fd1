"""Pictures within the page: matplotlib's as SVG whose colours the page decides, images as PNG."""

from __future__ import annotations

import base64
import io
import re
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib import image
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from matplotlib.ticker import FuncFormatter, NullFormatter

from .html import Html, element

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

    from .._types import AnyArray

# Colours that stand for those of the page: no picture has them by chance.
_INK, _PAGE = "#010203", "#fcfdfe"
_SERIES = tuple(f"#0{i}f0a{i}" for i in range(1, 7))
_MEANING = {
    _INK: "currentColor",
    _PAGE: "var(--page)",
    **{colour: f"var(--series-{i})" for i, colour in enumerate(_SERIES, 1)},
}
_SETTINGS: dict[Any, Any] = {
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "grid.color"), _INK),
    **dict.fromkeys(("xtick.color", "ytick.color", "legend.edgecolor"), _INK),
    **dict.fromkeys(("axes.facecolor", "figure.facecolor", "savefig.facecolor"), "none"),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right"), False),
    "legend.facecolor": _PAGE,
    "legend.framealpha": 0.85,
    "axes.prop_cycle": cycler(color=_SERIES),
    "font.size": 11,
    "grid.linewidth": 0.6,
    "svg.fonttype": "none",
    "text.parse_math": False,  # a class's name may have a dollar
}
WIDTH, HEIGHT = 5.0, 3.1  # inches: at 360 pixels its text is still read
MOST_PIXELS = 64  # along an image's longer side


def plot(
    name: str, alternative: str, draw: Callable[[Axes], object], height: float = HEIGHT
) -> Html:
    """Return a picture as an element of the page.

    Parameters
    ----------
    name : str
        Another one for each picture of a page: it goes into the names of its parts.
    alternative : str
        What the picture tells, for those who do not see it.
    draw : callable
        Draws into axes.
    height : float
        In inches; all have one width.
    """
    settings: dict[Any, Any]
    settings = {k: v for k, v in matplotlib.rcParamsDefault.items() if not k.startswith("backend")}
    with matplotlib.rc_context({**settings, **_SETTINGS, "svg.hashsalt": name}):
        drawn = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = drawn.add_subplot()
        draw(axes)
        file = io.StringIO()
        drawn.savefig(file, format="svg", metadata={"Date": None})
    return _embedded(file.getvalue(), alternative)


def _embedded(svg: str, alternative: str) -> Html:
    """Return a picture as an element of a page that has others."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(
        r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.S
    )
    svg = re.sub(
        r'(<g) id="[^"]*"', r"\1", svg
    )  # all pictures have them, and nothing refers to them
    svg = re.sub(r"\n\s*", "\n", svg)
    for colour, meaning in _MEANING.items():
        svg = svg.replace(colour, meaning)
    box = re.search(r'viewBox="([^"]*)"', svg)
    assert box is not None
    inner = Html(svg[svg.index(">") + 1 :].rstrip().removesuffix("</svg>"))
    named = {"role": "img", "aria_label": alternative, "class_": "plot", "viewBox": box[1]}
    return element("svg", inner, **named)


def plain_numbers(axes: Axes, axis: str = "y") -> None:
    """Write the numbers of a logarithmic axis without mathematics, which is not parsed here."""
    one = axes.yaxis if axis == "y" else axes.xaxis
    one.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    one.set_minor_formatter(NullFormatter())


def png(pixels: AnyArray) -> str:
    """Return an image (H, W) or (H, W, 3), of numbers from 0 to 1, as the address of itself.

    What is NaN lets the page be seen.
    """
    if np.isnan(pixels).any():
        grey = pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis].repeat(3, axis=2)
        pixels = np.dstack([np.nan_to_num(grey), ~np.isnan(grey[:, :, 0])])
    file = io.BytesIO()
    image.imsave(file, pixels, format="png", cmap="gray", vmin=0, vmax=1)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def image_shape(example: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Return (channels, height, width) of examples that are images, else None.

    They are of shape (H, W), or have one or three channels, first or last.

    Examples
    --------
    >>> image_shape((28, 28)), image_shape((3, 32, 32)), image_shape((8, 8, 1)), image_shape((30,))
    ((1, 28, 28), (3, 32, 32), (1, 8, 8), None)
    """
    if len(example) == 2 and min(example) > 1:
        return 1, *example
    if len(example) != 3 or min(example) < 1:
        return None
    if example[0] in (1, 3):
        return example
    return (example[2], *example[:2]) if example[2] in (1, 3) else None


def channels_first(arrays: AnyArray, example: tuple[int, ...]) -> AnyArray:
    """Return arrays (n, ...) of examples that are images as (n, C, H, W)."""
    shape = image_shape(example)
    assert shape is not None
    if len(example) == 3 and example != shape:
        return arrays.reshape(-1, *example).transpose(0, 3, 1, 2)
    return arrays.reshape(-1, *shape)


def smaller(images: AnyArray) -> AnyArray:
    """Return images (n, C, H, W) of which no side has too many pixels: every second one, or so."""
    step = -(-max(images.shape[2:]) // MOST_PIXELS)
    return images[:, :, ::step, ::step]


def pixels(one: AnyArray) -> AnyArray:
    """Return an image (C, H, W) as (H, W) or (H, W, 3), scaled from its least to its greatest."""
    finite = np.where(np.isfinite(one), one, np.nan).astype(np.float64)
    low, high = (np.nanmin(finite), np.nanmax(finite)) if not np.isnan(finite).all() else (0, 0)
    scaled = (finite - low) / (high - low) if high > low else np.full(finite.shape, 0.5)
    scaled = np.nan_to_num(scaled, nan=0.0)
    return scaled[0] if len(one) == 1 else scaled.transpose(1, 2, 0)
