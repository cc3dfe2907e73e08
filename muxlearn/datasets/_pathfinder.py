"""Pathfinder: two circles, and perhaps a dashed path that joins them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from muxlearn._params import Constraint, Integer, Number, OneOf, RandomState, check_parameters
from muxlearn.datasets._paths import (
    PathLaw,
    Points,
    Rows,
    Scenes,
    add_distractors,
    distances,
    grow_pairs,
)

__all__ = ["make_pathfinder"]

_SCENES_AT_ONCE = 8192
_PIXELS_AT_ONCE = 2**22
# Scenes to begin without a single one that is finished before there seems to be no room.
_MOST_FAILURES = 4096

_OWN_LENGTH = OneOf(Number(0, open_low=True), None)

_CONSTRAINTS: dict[str, Constraint] = {
    "n_samples": Integer(1),
    "size": Integer(8),
    "path_length": Integer(1),
    "n_distractors": OneOf(Integer(0), None),
    "distractor_length": OneOf(Integer(1), None),
    "dash_length": _OWN_LENGTH,
    "gap": _OWN_LENGTH,
    "thickness": _OWN_LENGTH,
    "clearance": _OWN_LENGTH,
    "seed_distance": _OWN_LENGTH,
    "marker_radius": _OWN_LENGTH,
    "continuity": OneOf(Number(0.5), None),
    "contrast": Number(0, 1, open_low=True),
    "random_state": RandomState(),
}


@dataclass(frozen=True)
class _Look:
    """The sizes of a picture's parts in pixels."""

    dash_length: float
    gap: float
    thickness: float
    clearance: float
    seed_distance: float
    marker_radius: float


# The settings of the Long Range Arena (the clearance follows from them: gap and thickness).
_LOOKS = {
    32: _Look(2, 2, 0.5, 2.5, 7, 1.5),
    64: _Look(5, 2, 1, 3, 12, 2.5),
    128: _Look(5, 5, 1.5, 6.5, 20, 3),
    256: _Look(5, 6, 2, 8, 27, 5),
}
_CONTINUITY = {32: 1.0, 64: 1.8, 128: 1.8, 256: 1.8}
_DASHES_OF_DISTRACTORS = {32: 20, 64: 22, 128: 35, 256: 30}


def make_pathfinder(
    n_samples: int,
    size: int = 32,
    *,
    path_length: int = 14,
    n_distractors: int | None = None,
    distractor_length: int | None = None,
    dash_length: float | None = None,
    gap: float | None = None,
    thickness: float | None = None,
    clearance: float | None = None,
    seed_distance: float | None = None,
    marker_radius: float | None = None,
    continuity: float | None = None,
    contrast: float = 1.0,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Generate Pathfinder: say whether a dashed path joins two circles.

    A picture has two long dashed paths, which begin near each other, and shorter ones as
    distractors; none crosses or touches another. Two ends of the long paths are marked by
    circles: the two of one path (label 1), or the beginning of one and the end of the other
    (label 0). As in the published task, but for two things. Paths and distractors are placed in
    continuous coordinates. And in each picture the marks could be those of either label: two
    circles that share a place, or nearly so, with the second ones as far from it to within a
    sixteenth of `size`. Which label it is is drawn then, independently of the paths. So neither
    the ink nor the distance between the circles tells the label; following a path does.

    Parameters
    ----------
    n_samples : int
    size : int, default=32
        Height and width in pixels, at least 8. The Long Range Arena has 32, and 128 for Path-X.
    path_length : int, default=14
        Dashes of each long path; 6, 9 and 14 are the published levels.
    n_distractors : int, default=None
        Distractors of a picture, fewer where there is no room. None: as many as the published
        20, 22, 35 and 30 dashes (at sizes 32, 64, 128 and 256) give.
    distractor_length : int, default=None
        Dashes of a distractor. None: a third of `path_length`.
    dash_length, gap : float, default=None
        Length of a dash and of the space between two of a path.
    thickness : float, default=None
        Thickness of a dash.
    clearance : float, default=None
        Least distance between the middle lines of two paths.
    seed_distance : float, default=None
        Distance between where the two long paths begin.
    marker_radius : float, default=None
        Radius of a circle that marks an end.
    continuity : float, default=None
        How straight paths are, at least 0.5: a turn between two dashes by an angle ``a`` has a
        density in proportion to ``cos(continuity * a)**2`` up to where that is 0.
    contrast : float, default=1.0
        Brightness of dashes, in (0, 1]; that of circles is 1.
    random_state : int, RandomState instance or None, default=None
        Give an int for the same data in every call.

    Returns
    -------
    X : ndarray of uint8, shape (n_samples, size, size)
        ``X.reshape(n_samples, -1)`` are the sequences of pixels of the Long Range Arena.
    y : ndarray of int64, shape (n_samples,)
        Half of the labels are 1, or one less.

    Raises
    ------
    TypeError, ValueError
        A parameter is not allowed, or there is no room for two such paths.

    Notes
    -----
    All lengths are in pixels. The default None stands for what the Long Range Arena took at
    `size`; at other sizes, for what it took at the nearest one, scaled.

    References
    ----------
    D. Linsley, J. Kim, V. Veerabadran, C. Windolf and T. Serre, Learning long-range spatial
    dependencies with horizontal gated recurrent units (NeurIPS 2018). Y. Tay et al., Long Range
    Arena: a benchmark for efficient Transformers (ICLR 2021), sections 2.2.5 and 2.2.6.

    Examples
    --------
    >>> from muxlearn.datasets import make_pathfinder
    >>> X, y = make_pathfinder(4, path_length=6, random_state=0)
    >>> X.shape, X.dtype, sorted(y.tolist())
    ((4, 32, 32), dtype('uint8'), [0, 0, 1, 1])
    """
    params = dict(locals())
    check_parameters(params, _CONSTRAINTS)
    nearest = min(_LOOKS, key=lambda known: abs(np.log(known / size)))
    look = _Look(
        **{
            name: length * size / nearest if params[name] is None else float(params[name])
            for name, length in vars(_LOOKS[nearest]).items()
        }
    )
    if continuity is None:
        continuity = _CONTINUITY[nearest]
    if distractor_length is None:
        distractor_length = max(1, path_length // 3)
    if n_distractors is None:
        n_distractors = _DASHES_OF_DISTRACTORS[nearest] // distractor_length
    _check_room(size, path_length, look)
    law = PathLaw(size, look.marker_radius, look.dash_length, look.gap, look.clearance, continuity)

    rng = check_random_state(random_state)
    y = rng.permutation(np.arange(n_samples) % 2).astype(np.int64)
    images = np.empty((n_samples, size, size), np.uint8)
    n_done, n_failed = 0, 0
    while n_done < n_samples:
        n_scenes = min(_SCENES_AT_ONCE, 64 + 8 * (n_samples - n_done) + n_failed)
        scenes, marks = _marked_scenes(n_scenes, path_length, look, law, rng)
        n_failed = 0 if len(scenes) else n_failed + n_scenes
        if n_failed >= _MOST_FAILURES:
            raise _no_room(size, path_length, look)
        if not len(scenes):
            continue
        part = slice(n_done, n_done + len(scenes))
        rows = np.arange(len(y[part]))
        scenes = add_distractors(scenes.take(rows), n_distractors, distractor_length, law, rng)
        images[part] = _draw(scenes, marks[rows, y[part]], look, contrast, size)
        n_done += len(rows)
    return images, y


def _check_room(size: int, path_length: int, look: _Look) -> None:
    room = size - 1 - 2 * look.marker_radius
    # Two paths with nothing but themselves within half of the clearance.
    area = 2 * path_length * (look.dash_length + look.gap) * look.clearance
    if look.seed_distance < look.clearance:
        raise ValueError(
            f"`seed_distance` is {look.seed_distance:g} and `clearance` {look.clearance:g}; paths "
            "that begin nearer than that would touch: raise the first or lower the second"
        )
    if look.clearance > look.dash_length + look.gap:
        raise ValueError(
            f"`clearance` is {look.clearance:g}, but `dash_length` and `gap` together are "
            f"{look.dash_length + look.gap:g}: a path would come too near to itself; lower the "
            "first or raise one of the others"
        )
    if room <= look.seed_distance or area > (room + look.clearance) ** 2:
        raise _no_room(size, path_length, look)


def _no_room(size: int, path_length: int, look: _Look) -> ValueError:
    lengths = ", ".join(f"`{name}`={length:g}" for name, length in vars(look).items())
    return ValueError(
        f"no room, or next to none, for two paths of `path_length`={path_length} dashes in a "
        f"picture of `size`={size} with {lengths}; raise `size`, or lower one of the others"
    )


def _marked_scenes(
    n_scenes: int, path_length: int, look: _Look, law: PathLaw, rng: np.random.RandomState
) -> tuple[Scenes, Points]:
    """Grow pairs of paths that can be marked for either label alike.

    Returns
    -------
    scenes : Scenes
    marks : ndarray of complex128, shape (n_scenes, 2 labels, 2 circles)
    """
    scenes = grow_pairs(n_scenes, path_length, look.seed_distance, law, rng)
    first, last = slice(0, 2), slice(2 * path_length - 2, 2 * path_length)
    begins = scenes.starts[:, first] + look.gap / 2 * scenes.directions[:, first]
    stops = scenes.starts[:, last] + (look.gap / 2 + look.dash_length) * scenes.directions[:, last]
    # Beginning and end of the circles: label, one of the ways to mark it, and the paths.
    ways = np.array([[(0, 1), (0, 1), (1, 0), (1, 0)], [(0, 0), (1, 1), (0, 0), (1, 1)]])
    marks = np.stack([begins[:, ways[..., 0]], stops[:, ways[..., 1]]], -1)
    apart = abs(marks[..., 0] - marks[..., 1])  # (n_scenes, 2 labels, 4 ways)
    alike = abs(apart[:, 0] - apart[:, 1]) <= law.size / 16
    alike &= apart.min(1) >= 2 * look.marker_radius + look.gap
    way = np.argmax(alike * rng.random_sample(alike.shape), axis=1)
    rows = np.flatnonzero(alike.any(1))
    return scenes.take(rows), marks[rows, :, way[rows]]


def _draw(
    scenes: Scenes, marks: Points, look: _Look, contrast: float, size: int
) -> NDArray[np.uint8]:
    images = [np.empty((0, size, size), np.uint8)]
    n_at_once = max(1, _PIXELS_AT_ONCE // size**2)
    for start in range(0, len(scenes), n_at_once):
        part = np.arange(start, min(start + n_at_once, len(scenes)))
        images.append(_draw_part(scenes.take(part), marks[part], look, contrast, size))
    return np.concatenate(images)


def _draw_part(
    scenes: Scenes, marks: Points, look: _Look, contrast: float, size: int
) -> NDArray[np.uint8]:
    dash_radius = look.thickness / 2
    # What sticks out of the picture is cut off in the end.
    border = int(np.ceil(look.dash_length + max(dash_radius, look.marker_radius))) + 2
    canvas = np.zeros((len(scenes), size + 2 * border, size + 2 * border), np.float32)
    dashes = scenes.starts + look.gap / 2 * scenes.directions
    corner = complex(border, border)
    for slot in range(dashes.shape[1]):
        rows = np.flatnonzero(scenes.there(slot))
        starts, directions = dashes[rows, slot] + corner, scenes.directions[rows, slot]
        _stamp(canvas, rows, starts, directions, look.dash_length, dash_radius, contrast)
    for circle in range(2):
        rows = np.arange(len(scenes))
        centres = marks[:, circle] + corner
        _stamp(canvas, rows, centres, np.ones_like(centres), 0.0, look.marker_radius, 1.0)
    inner = canvas[:, border:-border, border:-border]
    return np.rint(255 * inner).astype(np.uint8)


def _stamp(
    canvas: NDArray[np.float32],
    rows: Rows,
    starts: Points,
    directions: Points,
    length: float,
    radius: float,
    brightness: float,
) -> None:
    """Draw one line with round ends into each picture, its edges smooth."""
    reach = int(np.ceil(length / 2 + radius)) + 1
    centres = starts + length / 2 * directions
    steps = np.arange(-reach, reach + 1)
    y = np.rint(centres.real).astype(np.int64)[:, None, None] + steps[:, None]
    x = np.rint(centres.imag).astype(np.int64)[:, None, None] + steps
    line = (starts[:, None, None], directions[:, None, None])
    ink = brightness * np.clip(radius + 0.5 - distances(y + 1j * x, *line, length), 0, 1)
    at = (rows[:, None, None], y, x)
    canvas[at] = np.maximum(canvas[at], ink)
