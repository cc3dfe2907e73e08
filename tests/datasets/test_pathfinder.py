import numpy as np
import pytest
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from muxlearn.datasets import make_pathfinder
from muxlearn.datasets._pathfinder import _LOOKS, _marked_scenes
from muxlearn.datasets._paths import (
    PathLaw,
    Scenes,
    add_distractors,
    distances,
    grow_pairs,
)

# Paths so far from each other that blurring joins the dashes of one and never two of them.
ROOMY = {
    "size": 96,
    "path_length": 5,
    "dash_length": 6,
    "gap": 4,
    "thickness": 1,
    "clearance": 9,
    "seed_distance": 14,
    "marker_radius": 2.5,
    "continuity": 1.8,
    "n_distractors": 3,
    "distractor_length": 2,
    "contrast": 0.8,
}
LAW = PathLaw(size=64, margin=3, dash_length=4, gap=3, clearance=5, continuity=1.5)


def circles(image):
    """Return the middles of the two circles, the upper one first."""
    bright, n = ndimage.label(image > 240)
    assert n == 2
    return np.array(ndimage.center_of_mass(image > 240, bright, [1, 2]))


@pytest.fixture(scope="module")
def roomy():
    return make_pathfinder(60, random_state=0, **ROOMY)


@pytest.fixture(scope="module")
def published():
    return make_pathfinder(900, random_state=0)


def test_labels_say_whether_a_path_joins_the_circles(roomy):
    for image, label in zip(*roomy, strict=True):
        drawn = ndimage.distance_transform_edt(image < 30) <= 2.5
        paths, _ = ndimage.label(drawn, np.ones((3, 3)))
        first, second = (paths[tuple(np.rint(centre).astype(int))] for centre in circles(image))
        assert first > 0
        assert (first == second) == label


def test_there_are_as_many_paths_as_are_asked_for(roomy):
    for image in roomy[0]:
        drawn = ndimage.distance_transform_edt(image < 30) <= 2.5
        # Two long ones, and up to three distractors.
        assert 2 <= ndimage.label(drawn, np.ones((3, 3)))[1] <= 5


@pytest.mark.parametrize("n_samples", [1, 4, 7])
def test_labels_are_balanced(n_samples):
    X, y = make_pathfinder(n_samples, path_length=3, random_state=0)
    assert X.shape == (n_samples, 32, 32)
    assert X.dtype == np.uint8
    assert y.dtype == np.int64
    assert y.sum() == n_samples // 2


def test_brightness_is_the_contrast_and_that_of_circles(roomy):
    image = roomy[0][0]
    assert image.max() == 255
    dashes = image[(image > 0) & (ndimage.distance_transform_edt(image < 240) > 3)]
    assert 150 < dashes.max() <= round(0.8 * 255)


def test_the_same_seed_gives_the_same_data():
    first, second = (make_pathfinder(3, path_length=4, random_state=5) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_different_seeds_give_different_data():
    first, second = (make_pathfinder(3, path_length=4, random_state=seed) for seed in (5, 6))
    assert (first[0] != second[0]).any()


def marginal_statistics(X):
    rows = []
    for image in X:
        upper, lower = circles(image)
        apart = lower - upper
        middle = (upper + lower) / 2 - (len(image) - 1) / 2
        rows.append(
            [image.sum(), (image > 0).sum(), np.hypot(*apart), *abs(apart), *upper, *middle]
        )
    return np.array(rows)


@pytest.mark.slow
def test_ink_and_circles_do_not_tell_the_label(published):
    X, y = published
    model = make_pipeline(StandardScaler(), LogisticRegression())
    accuracy = cross_val_score(model, marginal_statistics(X), y, cv=5).mean()
    assert accuracy < 0.55  # 3 standard deviations of 900 guesses


def test_single_pixels_do_not_tell_the_label(published):
    X, y = published
    model = LogisticRegression(C=0.01, max_iter=200)
    assert cross_val_score(model, X.reshape(len(X), -1) / 255, y, cv=3).mean() < 0.55


def test_that_model_finds_what_does_tell_the_label(published):
    X, y = published
    dimmed = X * np.where(y, 1.0, 0.9)[:, None, None]
    statistics = np.column_stack([dimmed.sum((1, 2)), *marginal_statistics(X).T[1:]])
    model = make_pipeline(StandardScaler(), LogisticRegression())
    assert cross_val_score(model, statistics, y, cv=5).mean() > 0.65


def test_distances_of_the_circles_are_alike_for_both_labels(published):
    X, y = published
    apart = np.array([np.hypot(*np.subtract(*circles(image))) for image in X])
    joined, not_joined = apart[y == 1], apart[y == 0]
    error = (joined.var() / len(joined) + not_joined.var() / len(not_joined)) ** 0.5
    assert abs(joined.mean() - not_joined.mean()) < 3 * error


def test_circles_of_either_label_are_apart_and_about_as_far():
    look = _LOOKS[64]
    law = PathLaw(64, look.marker_radius, look.dash_length, look.gap, look.clearance, 0.7)
    _, marks = _marked_scenes(400, 8, look, law, np.random.RandomState(0))
    apart = abs(marks[..., 0] - marks[..., 1])  # (n_scenes, 2 labels)
    assert len(apart) > 50
    assert abs(apart[:, 0] - apart[:, 1]).max() <= 64 / 16
    assert apart.min() >= 2 * look.marker_radius + look.gap


@pytest.mark.parametrize("size", [24, 64, 100, 128])
def test_any_size_will_do(size):
    X, y = make_pathfinder(2, size, path_length=4, contrast=0.5, random_state=0)
    assert X.shape == (2, size, size)
    assert sorted(y) == [0, 1]
    assert all(len(circles(image)) == 2 for image in X)


def test_distances_are_what_one_works_out_by_hand():
    # A line from (0, 0) to (0, 2): beside it, beyond its end, behind its start, on it.
    points = np.array([3 + 1j, 3 + 6j, -1j, 2j])
    assert distances(points, 0j, np.array(1j), 2.0) == pytest.approx([3, 5, 1, 0])


def points_on(scenes, n=15):
    """Return points along each link, shape (n_scenes, n_links, n)."""
    return scenes.starts[..., None] + LAW.step * np.linspace(0, 1, n) * scenes.directions[..., None]


def grown_scenes(n_distractors=0):
    rng = np.random.RandomState(0)
    scenes = grow_pairs(60, 8, 12, LAW, rng)
    return add_distractors(scenes, n_distractors, 3, LAW, rng)


def test_paths_are_chains_of_links():
    scenes = grown_scenes()
    assert len(scenes) > 10
    ends = scenes.starts + LAW.step * scenes.directions
    np.testing.assert_allclose(scenes.starts[:, 2:], ends[:, :-2])  # two paths in turn
    np.testing.assert_allclose(abs(scenes.directions), 1)


def test_paths_begin_at_their_distance():
    scenes = grown_scenes()
    np.testing.assert_allclose(abs(scenes.starts[:, 0] - scenes.starts[:, 1]), 12)


def test_paths_stay_off_the_margin():
    assert LAW.inside(points_on(grown_scenes())).all()


def test_paths_turn_no_more_than_continuity_allows():
    scenes = grown_scenes()
    turns = np.angle(scenes.directions[:, 2:] / scenes.directions[:, :-2])
    assert 0.5 < abs(turns).max() <= np.pi / 2 / LAW.continuity


def test_links_keep_their_clearance():
    scenes = grown_scenes(n_distractors=2)
    points = points_on(scenes)
    n_links = points.shape[1]
    path = np.where(
        np.arange(n_links) < 16, np.arange(n_links) % 2, 2 + (np.arange(n_links) - 16) // 3
    )
    neighbours = [
        {at - 2, at, at + 2} if at < 16 else {at - 1, at, at + 1} for at in range(n_links)
    ]
    for link in range(n_links):
        others = [
            other
            for other in range(n_links)
            if path[other] != path[link] or other not in neighbours[link]
        ]
        for other in others:
            start, direction = scenes.starts[:, other, None], scenes.directions[:, other, None]
            apart = distances(points[:, link], start, direction, LAW.step)
            there = scenes.there(link) & scenes.there(other)
            # Candidates are looked at in points at most one clearance apart.
            assert (apart[there] > 0.85 * LAW.clearance).all()


def test_distractors_are_whole_or_not_there():
    scenes = grown_scenes(n_distractors=8)
    there = np.stack([scenes.there(link) for link in range(16, 40)], 1).reshape(-1, 8, 3)
    assert (there.all(2) | ~there.any(2)).all()
    assert 0.2 < there.mean() < 1


def test_turns_have_the_density_of_a_squared_cosine():
    angles = np.sort(LAW.turns(4000, np.random.RandomState(0)))
    reach = np.pi / 2 / LAW.continuity
    assert abs(angles).max() <= reach
    share = 0.5 + (LAW.continuity * angles + np.sin(2 * LAW.continuity * angles) / 2) / np.pi
    # Kolmogorov and Smirnov's distance, at a probability of 1e-4.
    assert abs(share - (np.arange(4000) + 0.5) / 4000).max() < 2.23 / 4000**0.5


def test_there_is_no_link_in_an_empty_scene():
    assert not Scenes.empty(2, 3).there(1).any()


@pytest.mark.parametrize(
    "params",
    [
        {"path_length": 60},
        {"seed_distance": 40},
        {"size": 8, "path_length": 1, "dash_length": 9, "gap": 0.1, "clearance": 1},
    ],
)
def test_no_room_is_an_error(params):
    with pytest.raises(ValueError, match=r"no room, or next to none, .* raise `size`, or lower"):
        make_pathfinder(2, random_state=0, **params)


def test_paths_that_would_come_too_near_themselves_are_an_error():
    with pytest.raises(ValueError, match=r"`clearance` is 5, but .* together are 4"):
        make_pathfinder(1, clearance=5)


def test_paths_that_would_begin_too_near_each_other_are_an_error():
    with pytest.raises(ValueError, match=r"`seed_distance` is 2 and `clearance` 2.5"):
        make_pathfinder(1, seed_distance=2)


@pytest.mark.parametrize(
    "params",
    [
        {"n_samples": 0},
        {"size": 7},
        {"path_length": 0},
        {"n_distractors": -1},
        {"distractor_length": 0},
        {"dash_length": 0},
        {"gap": -1},
        {"continuity": 0.4},
        {"contrast": 1.1},
        {"random_state": -1},
    ],
)
def test_values_of_parameters_are_checked(params):
    with pytest.raises(ValueError, match=f"`{next(iter(params))}` must be"):
        make_pathfinder(**{"n_samples": 1, **params})


@pytest.mark.parametrize("params", [{"n_samples": 2.0}, {"size": "32"}, {"contrast": None}])
def test_types_of_parameters_are_checked(params):
    with pytest.raises(TypeError, match=f"`{next(iter(params))}` must be"):
        make_pathfinder(**{"n_samples": 1, **params})
