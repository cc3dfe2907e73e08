import numpy as np
import pytest
import torch
from torch import nn

from muxlearn.nn.multiplex import HadamardMultiplexer, OrthogonalMultiplexer
from muxlearn.theory import KEY_KINDS, bundle, cross_talk, draw_keys, dual_keys, unbind

N_MUX, WIDTH, LENGTH = 3, 8, 5


def sequences(*shape, seed=1):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((*shape, WIDTH)))


def close(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_orthogonal_keys_do_not_meet():
    keys = draw_keys(N_MUX, WIDTH, 30, random_state=0)
    products = torch.einsum("iwa,jwb->iajb", keys, keys).flatten(2).flatten(0, 1)
    close(products, torch.eye(N_MUX * WIDTH, dtype=torch.float64))


def test_rotations_are_frames_of_their_own():
    keys = draw_keys(N_MUX, WIDTH, 30, "rotation", random_state=0)
    close(keys.mT @ keys, torch.eye(WIDTH, dtype=torch.float64).expand(N_MUX, -1, -1))
    assert (keys[0].T @ keys[1]).abs().max() > 0.1


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_dual_keys_read_without_cross_talk(kind):
    keys = draw_keys(N_MUX, WIDTH, 30, kind, random_state=0)
    x = sequences(2, N_MUX, LENGTH)
    close(unbind(bundle(x, keys), dual_keys(keys)), x)


def test_orthogonal_keys_are_their_own_duals():
    keys = draw_keys(N_MUX, WIDTH, 30, random_state=0)
    close(dual_keys(keys), keys)


@pytest.mark.parametrize("kind", ["rotation", "sign", "gaussian"])
def test_the_cross_talk_is_as_large_as_it_should_be(kind):
    rng = np.random.RandomState(0)
    squares = []
    for _ in range(500):
        keys = draw_keys(N_MUX, WIDTH, 20, kind, random_state=rng)
        x = torch.from_numpy(rng.standard_normal((N_MUX, 4, WIDTH)))
        x = nn.functional.normalize(x, dim=-1)
        off = unbind(bundle(x, keys), keys) - x
        squares.append(off.square().sum(-1).mean().item())
    expected = cross_talk(N_MUX, WIDTH, 20, kind) ** 2
    uncertainty = np.std(squares) / np.sqrt(len(squares))
    assert abs(np.mean(squares) - expected) < 4 * uncertainty
    assert uncertainty < expected / 15


def test_cross_talk_of_full_width_is_that_of_the_multiplexers():
    # With as many dimensions as tokens have, the frames are square: DataMUX's own keys.
    n_mux, width = 4, 32
    for multiplexer, kind in [
        (HadamardMultiplexer, "gaussian"),
        (OrthogonalMultiplexer, "rotation"),
    ]:
        squares = []
        for _ in range(100):
            x = nn.functional.normalize(torch.randn(1, n_mux, 1, width), dim=-1)
            x.requires_grad_()
            mixture = multiplexer(n_mux, width, learn_keys=False)(x)
            (unbound,) = torch.autograd.grad(mixture, x, mixture.detach() * n_mux)
            squares.append((unbound - x.detach()).square().sum(-1).mean().item())
        expected = cross_talk(n_mux, width, width, kind) ** 2
        assert np.mean(squares) == pytest.approx(expected, rel=0.1)


def test_one_slot_has_no_cross_talk_but_for_normal_keys():
    assert [cross_talk(1, WIDTH, 64, kind) > 0 for kind in KEY_KINDS] == [False] * 3 + [True]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw_keys(3, 8, 20), "at least 24 for orthogonal keys of 3 slots of width 8"),
        (lambda: draw_keys(3, 8, 7, "sign"), "at least 8 for sign keys"),
        (lambda: draw_keys(3, 8, 30, "rotatoin"), "did you mean 'rotation'"),
        (lambda: dual_keys(torch.zeros(3, 20, 8)), "they need 24"),
        (lambda: dual_keys(torch.zeros(3, 20)), r"of shape \(n_mux, mixture_width, width\)"),
        (lambda: cross_talk(3, 8, 7), "at least 8 for rotation keys .* got 7"),
        (lambda: cross_talk(3, 8, 23, "orthogonal"), "at least 24 for orthogonal keys"),
        (lambda: cross_talk(0, 8, 9), "`n_mux` must be a whole number of at least 1"),
        (lambda: bundle(torch.zeros(2, 5, 8), torch.zeros(3, 20, 8)), r"\(..., 3, length, 8\)"),
        (lambda: unbind(torch.zeros(5, 19), torch.zeros(3, 20, 8)), r"\(..., length, 20\)"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
