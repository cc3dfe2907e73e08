"""Draw the picture of README and site, and the logo: ``python docs/draw_idea.py``."""

from pathlib import Path

COLORS = ["#0072b2", "#d55e00", "#009e73"]  # told apart by the colour-blind, too
TEXTS = ["rain in the hills", "a late equaliser", "shares fall again"]
LABELS = ["weather", "sport", "business"]
INK, PAPER, PALE = "#24292f", "#ffffff", "#eef1f4"


def box(x, y, width, height, fill, text="", *, stroke=INK, color=INK, size=15, bold=False):
    """A rounded box with a text in its middle."""
    weight = ' font-weight="600"' if bold else ""
    middle = f'x="{x + width / 2}" y="{y + height / 2 + size / 3}"'
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{fill}" '
        f'stroke="{stroke}" stroke-width="1.5"/>'
        f'<text {middle} text-anchor="middle" font-size="{size}" fill="{color}"{weight}>'
        f"{text}</text>"
    )


def arrow(x1, y1, x2, y2, color=INK):
    """A curved arrow from left to right."""
    bend = (x1 + x2) / 2
    return (
        f'<path d="M {x1} {y1} C {bend} {y1}, {bend} {y2}, {x2 - 7} {y2}" fill="none" '
        f'stroke="{color}" stroke-width="2.5"/>'
        f'<path d="M {x2} {y2} l -9 -5 v 10 z" fill="{color}"/>'
    )


def caption(x, y, text):
    """A small line of text around a middle."""
    return f'<text x="{x}" y="{y}" text-anchor="middle" font-size="13" fill="{INK}">{text}</text>'


def stripes(x, y, width, height):
    """The mixture: one vector with a stripe of each row."""
    part = width / len(COLORS)
    bars = [
        f'<rect x="{x + i * part}" y="{y}" width="{part}" height="{height}" fill="{color}"/>'
        for i, color in enumerate(COLORS)
    ]
    frame = (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" fill="none" '
        f'stroke="{INK}" stroke-width="1.5"/>'
    )
    return "".join(bars) + frame


def draw() -> str:
    """Return the picture as SVG."""
    rows = [50, 110, 170]
    middle = rows[1] + 20
    parts = []
    for y, color, text, label in zip(rows, COLORS, TEXTS, LABELS, strict=True):
        parts.append(box(10, y, 160, 40, PAPER, text, stroke=color, color=color))
        parts.append(arrow(170, y + 20, 230, middle, color))
        parts.append(arrow(650, middle, 710, y + 20, color))
        parts.append(box(710, y, 110, 40, color, label, stroke=color, color=PAPER, bold=True))
    parts.append(stripes(232, middle - 20, 78, 40))
    parts.append(arrow(310, middle, 360, middle))
    parts.append(box(360, middle - 50, 160, 100, PALE, "encoder, once", size=17, bold=True))
    parts.append(arrow(520, middle, 570, middle))
    parts.append(stripes(570, middle - 20, 78, 40))
    parts.append(caption(90, 30, "N rows"))
    parts.append(caption(271, middle + 42, "one mixture"))
    parts.append(caption(609, middle + 42, "demultiplexed"))
    parts.append(caption(765, 30, "N predictions"))
    title = "Three texts are folded into one mixture, the encoder runs once, three labels come out"
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 830 225" width="830" height="225" '
        f'role="img" font-family="system-ui, Helvetica, Arial, sans-serif"><title>{title}</title>'
        f'<rect width="830" height="225" rx="10" fill="{PAPER}"/>' + "".join(parts) + "</svg>\n"
    )


def draw_logo() -> str:
    """Return the logo as SVG: three rows, one pass, three rows."""
    lanes = [
        f'<path d="M 4 {y} C 18 {y}, 14 32, 26 32 H 38 C 50 32, 46 {y}, 60 {y}" fill="none" '
        f'stroke="{color}" stroke-width="7" stroke-linecap="round"/>'
        for y, color in zip((12, 52, 32), (COLORS[0], COLORS[2], COLORS[1]), strict=True)
    ]
    core = '<rect x="22" y="20" width="20" height="24" rx="5" fill="#6e7781"/>'
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" width="64" height="64" '
        f'role="img"><title>muxlearn</title>{"".join(lanes)}{core}</svg>\n'
    )


if __name__ == "__main__":
    folder = Path(__file__).parent
    (folder / "idea.svg").write_text(draw())
    (folder / "_static" / "logo.svg").write_text(draw_logo())
