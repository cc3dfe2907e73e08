"""Draw the picture of README and site, and the logo: ``python docs/draw_idea.py``."""

from pathlib import Path

COLORS = ["#0072b2", "#d55e00", "#009e73"]  # told apart by the colour-blind, too
SHADES = ["#d55e00", "#a34700", "#de7a33"]  # tokens of one row
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


def stripes(x, y, width, height, colors=COLORS):
    """One position of the encoder: a vector with a stripe of each row or token in it."""
    part = width / len(colors)
    bars = [
        f'<rect x="{x + i * part}" y="{y}" width="{part}" height="{height}" fill="{color}"/>'
        for i, color in enumerate(colors)
    ]
    frame = (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" fill="none" '
        f'stroke="{INK}" stroke-width="1.5"/>'
    )
    return "".join(bars) + frame


def lane(rows, inputs, colors, outputs, captions):
    """One way to share a position: inputs, what they are folded into, what comes out."""
    middle = rows[len(rows) // 2] + 16
    ends = rows if len(outputs) > 1 else [middle - 16]
    parts = [caption(90, rows[0] - 12, captions[0]), caption(765, ends[0] - 12, captions[3])]
    for y, color, text in zip(rows, colors, inputs, strict=True):
        parts.append(box(10, y, 160, 32, PAPER, text, stroke=color, color=color))
        parts.append(arrow(170, y + 16, 230, middle, color))
    parts += [stripes(232, middle - 20, 78, 40, colors), arrow(310, middle, 360, middle)]
    parts += [arrow(520, middle, 570, middle), stripes(570, middle - 20, 78, 40, colors)]
    parts += [caption(271, middle + 40, captions[1]), caption(609, middle + 40, captions[2])]
    for y, text, color in zip(ends, outputs, colors, strict=False):
        parts.append(arrow(650, middle, 710, y + 16, color))
        parts.append(box(710, y, 110, 32, color, text, stroke=color, color=PAPER, bold=True))
    return "".join(parts)


def draw() -> str:
    """Return the picture as SVG."""
    rows = lane(
        [34, 78, 122],
        TEXTS,
        COLORS,
        LABELS,
        ["rows: n_mux=3", "one mixture", "unfolded", "three answers"],
    )
    tokens = lane(
        [206, 250, 294],
        TEXTS[1].split(),
        SHADES,
        LABELS[1:2],
        ["tokens: patch_size=3", "one patch", "one position", "one answer"],
    )
    encoder = box(360, 60, 160, 240, PALE, "encoder, once", size=17, bold=True)
    title = (
        "Three texts, or three neighbouring tokens of one text, are folded into one position; "
        "the encoder runs once"
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 830 345" width="830" height="345" '
        f'role="img" font-family="system-ui, Helvetica, Arial, sans-serif"><title>{title}</title>'
        f'<rect width="830" height="345" rx="10" fill="{PAPER}"/>{rows}{tokens}{encoder}</svg>\n'
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
