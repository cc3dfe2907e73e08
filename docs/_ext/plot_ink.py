"""The colours of plots, which stand on the page's own ground: their ink shows on light and dark."""

import matplotlib

#: A grey with a contrast of 4 on white and on the dark theme's ground.
INK = "#808080"

PLOTS = {
    "savefig.transparent": True,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
    ),
}


def set_ink(gallery_conf, file_name):
    """Set the colours of the gallery's plots before each script."""
    matplotlib.rcdefaults()
    matplotlib.rcParams.update(PLOTS)
