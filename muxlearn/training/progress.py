"""Progress bars that count rows."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["progress_bar"]


def progress_bar(total: int | None, description: str, *, show: bool, n_done: int = 0) -> Any:
    """Return a tqdm bar that counts rows; silent where nobody watches.

    Parameters
    ----------
    total : int or None
    description : str
    show : bool
        Show a bar on a terminal or in a notebook.
    n_done : int, default=0
        Rows to begin with, which do not count as speed.

    Returns
    -------
    tqdm.tqdm
    """
    from tqdm.auto import tqdm

    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    return tqdm(
        total=total,
        initial=n_done,
        desc=description,
        unit="row",
        unit_scale=True,
        disable=not (show and watched),
        leave=False,
    )
