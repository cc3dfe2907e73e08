"""Dashed paths that neither cross nor touch, grown in many pictures at once.

A point is a complex number: row + 1j * column. A direction is one of absolute value 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PathLaw", "Scenes", "add_distractors", "distances", "grow_pairs"]

Points = NDArray[np.complex128]
Rows = NDArray[np.int64]

# A link that is not there is too far away to be in anybody's way.
_NOWHERE = complex(1e6, 1e6)

_TRIES_PER_LINK = 8
_TRIES_PER_DISTRACTOR = 5
_ROUNDS_PER_LINK = 6
_MOST_STEPS_BACK = 4


@dataclass(frozen=True)
class PathLaw:
    """The law of paths, in pixels.

    A path is a chain of links. A link is a dash with half a gap at either end, so that a path
    turns in the middle of its gaps and looks the same from both of its ends.

    Parameters
    ----------
    size : int
        Height and width of the picture.
    margin : float
        Width of the border that paths stay off.
    dash_length, gap : float
    clearance : float
        Least distance between two links that are not neighbours in a path.
    continuity : float
        The density of a turn by ``angle`` is in proportion to ``cos(continuity * angle)**2``, up
        to where that is 0.
    """

    size: int
    margin: float
    dash_length: float
    gap: float
    clearance: float
    continuity: float

    @property
    def step(self) -> float:
        """Length of a link."""
        return self.dash_length + self.gap

    def points(self, shape: tuple[int, ...], rng: np.random.RandomState) -> Points:
        """Draw points off the margin."""
        low, high = self.margin, self.size - 1 - self.margin
        return rng.uniform(low, high, shape) + 1j * rng.uniform(low, high, shape)

    def turns(self, n: int, rng: np.random.RandomState) -> NDArray[np.float64]:
        """Draw angles by which a path turns."""
        angles = np.linspace(-np.pi / 2, np.pi / 2, 257)
        shares = 0.5 + (angles + np.sin(2 * angles) / 2) / np.pi
        return np.interp(rng.random_sample(n), shares, angles) / self.continuity

    def inside(self, points: Points) -> NDArray[np.bool_]:
        """Return whether points are off the margin."""
        centre = (self.size - 1) / 2
        reach = centre - self.margin
        return np.maximum(abs(points.real - centre), abs(points.imag - centre)) <= reach


@dataclass
class Scenes:
    """The links of some pictures.

    Parameters
    ----------
    starts : ndarray of complex128, shape (n_scenes, n_links)
    directions : ndarray of complex128, shape (n_scenes, n_links)
    """

    starts: Points
    directions: Points

    @classmethod
    def empty(cls, n_scenes: int, n_links: int) -> Scenes:
        """Return scenes with room for links and without any."""
        shape = (n_scenes, n_links)
        return cls(np.full(shape, _NOWHERE), np.ones(shape, complex))

    def __len__(self) -> int:
        """Return the number of scenes."""
        return len(self.starts)

    def take(self, rows: Rows | NDArray[np.bool_]) -> Scenes:
        """Return some of the scenes."""
        return Scenes(self.starts[rows], self.directions[rows])

    def there(self, slot: int) -> NDArray[np.bool_]:
        """Return whether scenes have a link in some slot."""
        return self.starts[:, slot] != _NOWHERE

    def erase(self, rows: Rows, slots: NDArray[np.bool_]) -> None:
        """Take links away; `slots` is of shape (n_rows, n_links)."""
        self.starts[rows] = np.where(slots, _NOWHERE, self.starts[rows])

    def swap_paths(self, rows: Rows) -> None:
        """Let two paths whose links take turns change places."""
        swapped = np.arange(self.starts.shape[1]) ^ 1
        for links in (self.starts, self.directions):
            links[rows] = links[rows][:, swapped]


def distances(
    points: Points, starts: Points, directions: Points, length: float
) -> NDArray[np.float64]:
    """Return the distance of points from straight lines of one length.

    Parameters
    ----------
    points, starts, directions : ndarray of complex128, shapes that can be broadcast
    length : float

    Returns
    -------
    ndarray of float64, the broadcast shape
    """
    seen = (points - starts) * directions.conj()  # as if all lines went along the real axis
    beyond = seen.real - np.clip(seen.real, 0, length)
    return np.sqrt(beyond * beyond + seen.imag * seen.imag)


def grow_pairs(
    n_scenes: int, n_links: int, seed_distance: float, law: PathLaw, rng: np.random.RandomState
) -> Scenes:
    """Grow two paths side by side in each scene, link by link in turn.

    Parameters
    ----------
    n_scenes : int
        Scenes to begin with.
    n_links : int
        Links of each path.
    seed_distance : float
        Distance between where the two begin.
    law : PathLaw
    rng : RandomState

    Returns
    -------
    Scenes
        Those that were finished in time, with ``2 * n_links`` links, those of the two paths in
        turn. Which comes first has been drawn: the path that moves second has less room.
    """
    centres = law.points((n_scenes, 1), rng)
    offsets = seed_distance / 2 * np.exp(1j * rng.uniform(0, 2 * np.pi, (n_scenes, 1)))
    origins = np.concatenate([centres - offsets, centres + offsets], 1)  # (n_scenes, 2)
    origins = origins[law.inside(origins).all(1)]
    scenes = Scenes.empty(len(origins), 2 * n_links)
    grown = np.zeros((len(origins), 2), np.int64)  # links of each path
    for _ in range(_ROUNDS_PER_LINK * 2 * n_links):
        rows = np.flatnonzero(grown.sum(1) < 2 * n_links)
        path = grown[rows].argmin(1)
        link = grown[rows, path]
        success = _extend(scenes, rows, 2 * link + path, link, 2, origins[rows, path], law, rng)
        grown[rows, path] += success
        _step_back(scenes, rows[~success], path[~success], grown, rng)
    scenes = scenes.take(grown.sum(1) == 2 * n_links)
    scenes.swap_paths(np.flatnonzero(rng.random_sample(len(scenes)) < 0.5))
    return scenes


def _step_back(
    scenes: Scenes, rows: Rows, path: Rows, grown: NDArray[np.int64], rng: np.random.RandomState
) -> None:
    """Take some links away from paths that ran into a dead end."""
    kept = np.maximum(0, grown[rows, path] - rng.randint(1, _MOST_STEPS_BACK + 1, len(rows)))
    grown[rows, path] = kept
    link, path_of_slot = np.divmod(np.arange(scenes.starts.shape[1]), 2)
    scenes.erase(rows, (path_of_slot == path[:, None]) & (link >= kept[:, None]))


def add_distractors(
    scenes: Scenes, n_distractors: int, n_links: int, law: PathLaw, rng: np.random.RandomState
) -> Scenes:
    """Grow short paths wherever there is room, as many as there is room for.

    Parameters
    ----------
    scenes : Scenes
    n_distractors, n_links : int
        Distractors in a scene, and links of each.
    law : PathLaw
    rng : RandomState

    Returns
    -------
    Scenes
        The same with ``n_distractors * n_links`` more links.
    """
    n_before = scenes.starts.shape[1]
    room = Scenes.empty(len(scenes), n_distractors * n_links)
    scenes = Scenes(
        np.concatenate([scenes.starts, room.starts], 1),
        np.concatenate([scenes.directions, room.directions], 1),
    )
    for distractor in range(n_distractors):
        missing = np.arange(len(scenes))
        for _ in range(_TRIES_PER_DISTRACTOR):
            first = n_before + distractor * n_links
            missing = _grow_distractor(scenes, missing, first, n_links, law, rng)
    return scenes


def _grow_distractor(
    scenes: Scenes, rows: Rows, first: int, n_links: int, law: PathLaw, rng: np.random.RandomState
) -> Rows:
    """Try to grow a short path in some of the scenes; return those where it failed."""
    origins = law.points((len(rows),), rng)
    growing = np.arange(len(rows))
    for link in range(n_links):
        slots, links = np.full(len(growing), first + link), np.full(len(growing), link)
        growing = growing[
            _extend(scenes, rows[growing], slots, links, 1, origins[growing], law, rng)
        ]
    failed = np.delete(rows, growing)
    slots = np.arange(scenes.starts.shape[1])
    scenes.erase(failed, np.tile((slots >= first) & (slots < first + n_links), (len(failed), 1)))
    return failed


def _extend(
    scenes: Scenes,
    rows: Rows,
    slots: Rows,
    links: Rows,
    stride: int,
    origins: Points,
    law: PathLaw,
    rng: np.random.RandomState,
) -> NDArray[np.bool_]:
    """Put one more link into a slot of each scene.

    It is number `links` of its path, and the one before is in the slot `stride` places before.
    The first direction that leads nowhere near another link is taken: a draw from the law of
    turns, given that there is room. Returns whether one was found.
    """
    is_first = links == 0
    previous = np.where(is_first, -1, slots - stride)
    headings = scenes.directions[rows, previous]
    tips = np.where(is_first, origins, scenes.starts[rows, previous] + law.step * headings)
    used = int(slots.max(initial=0)) + 1
    success = np.zeros(len(rows), bool)
    for _ in range(_TRIES_PER_LINK):
        tried = np.flatnonzero(~success)
        any_turn = rng.uniform(-np.pi, np.pi, len(tried))
        turns = np.where(is_first[tried], any_turn, law.turns(len(tried), rng))
        directions = headings[tried] * np.exp(1j * turns)
        inside = law.inside(tips[tried] + law.step * directions)
        tried, directions = tried[inside], directions[inside]
        free = _with_room(scenes, rows[tried], used, tips[tried], directions, previous[tried], law)
        tried, directions = tried[free], directions[free]
        scenes.starts[rows[tried], slots[tried]] = tips[tried]
        scenes.directions[rows[tried], slots[tried]] = directions
        success[tried] = True
    return success


def _with_room(
    scenes: Scenes,
    rows: Rows,
    used: int,
    tips: Points,
    directions: Points,
    previous: Rows,
    law: PathLaw,
) -> Rows:
    """Say which links keep away from all others but the one before, -1 where there is none."""
    # Ends meet something more often than starts; what has met something is not looked at again.
    n_points = int(np.ceil(law.step / law.clearance))
    left = np.arange(len(rows))
    for at in range(n_points, -1, -1):
        starts, others = scenes.starts[rows[left], :used], scenes.directions[rows[left], :used]
        attached = np.flatnonzero(previous[left] >= 0)
        starts[attached, previous[left][attached]] = _NOWHERE
        points = tips[left] + at / n_points * law.step * directions[left]
        apart = distances(points[:, None], starts, others, law.step)
        left = left[(apart >= law.clearance).all(1)]
    return left
