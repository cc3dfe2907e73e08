import math

import pytest
import torch
from torch.nn import functional as F
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as TF

from muxlearn.nn.image_multiplex import (
    IMAGE_MULTIPLEXERS,
    ExpandedNonlinearImageMultiplexer,
    GaussianImageMultiplexer,
    GradedImageMultiplexer,
    IdentityImageMultiplexer,
    LinearImageMultiplexer,
    NonlinearImageMultiplexer,
    OrthogonalImageMultiplexer,
    RemapImageMultiplexer,
    RotationImageMultiplexer,
)

N_MUX, SHAPE = 5, (3, 6, 7)  # neither square nor grey
every_multiplexer = pytest.mark.parametrize("name", IMAGE_MULTIPLEXERS)
every_n_places = pytest.mark.parametrize("n_places", range(1, N_MUX + 1))


def make(name, n_mux=N_MUX, shape=SHAPE, **options):
    return IMAGE_MULTIPLEXERS[name](n_mux, shape, **options)


def draw_images(n_places=N_MUX, shape=SHAPE, n_mixtures=3):
    return torch.randn(n_mixtures, n_places, *shape)


def assert_near(actual, expected):
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def sum_slots(images):
    """Of one image for each slot, shape (n_mux, n_mixtures, …), the mixtures."""
    return torch.stack(list(images)).sum(0) / math.sqrt(len(images))


# What all share


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        (name, shape)
        for name in IMAGE_MULTIPLEXERS
        for shape in [SHAPE, (1, 8, 8), (2, 1, 1), (1, 1, 9)]
        if name != "remap" or min(shape[1:]) >= 4
    ],
)
def test_a_mixture_is_as_high_and_wide_as_an_image(name, shape):
    multiplexer = make(name, shape=shape)
    mixture = multiplexer(draw_images(shape=shape))
    assert mixture.shape == (3, multiplexer.out_channels, *shape[1:])


def test_the_expanded_mixture_has_eight_channels_for_each():
    assert make("expanded_nonlinear").out_channels == 24


@every_multiplexer
@every_n_places
def test_fewer_images_count_as_repeated_over_the_slots(name, n_places):
    multiplexer, x = make(name), draw_images(n_places)
    assert_near(multiplexer(x), multiplexer(x[:, torch.arange(N_MUX) % n_places]))


@every_multiplexer
@pytest.mark.parametrize("n_mux", [1, N_MUX])
def test_more_images_than_slots_are_refused(name, n_mux):
    with pytest.raises(ValueError, match=f"{n_mux + 1} rows do not fit into the {n_mux} slots"):
        make(name, n_mux)(draw_images(n_mux + 1))


@every_multiplexer
def test_mixtures_do_not_see_each_other(name):
    multiplexer, x = make(name), draw_images()
    assert_near(multiplexer(x)[1:2], multiplexer(x[1:2]))


@pytest.mark.parametrize("name", sorted(IMAGE_MULTIPLEXERS.keys() - {"identity"}))
def test_a_multiplexer_tells_its_slots_apart(name):
    multiplexer, x = make(name), draw_images()
    assert (multiplexer(x) - multiplexer(x.flip(1))).abs().max() > 0.1


@pytest.mark.parametrize("n_mux", [1, 8])
@pytest.mark.parametrize(
    ("name", "channels"),
    [("gaussian_convolution", 128), ("orthogonal", 1), ("linear", 1), ("identity", 1)],
)
def test_a_mixture_is_about_as_large_as_an_image(name, channels, n_mux):
    shape = (channels, 14, 14)
    mixtures = make(name, n_mux, shape)(draw_images(n_mux, shape, n_mixtures=10))
    # A convolution sees zeros beyond the borders.
    assert 0.75 < mixtures.var().item() < 1.15


@every_multiplexer
def test_the_gradient_reaches_learned_keys_and_images(name):
    multiplexer, x = make(name), draw_images().requires_grad_()
    multiplexer(x).square().sum().backward()
    assert x.grad.abs().amin((2, 3, 4)).shape == (3, N_MUX)
    assert (x.grad.abs().amax((2, 3, 4)) > 0).all()
    for key in multiplexer.parameters():
        assert (key.grad is not None) == multiplexer.always_learned


@pytest.mark.parametrize("name", ["gaussian_convolution", "orthogonal"])
def test_fixed_keys_are_learned_on_demand(name):
    multiplexer = make(name, learn_keys=True)
    multiplexer(draw_images()).sum().backward()
    assert multiplexer.keys.grad.abs().amax((1, 2)).min() > 0


@every_multiplexer
def test_the_representation_tells_whether_keys_are_learned(name):
    learned = IMAGE_MULTIPLEXERS[name].always_learned
    assert f"n_mux=5, image_shape=(3, 6, 7), learn_keys={learned}" in repr(make(name))


def test_those_that_the_study_calls_learnable_or_nonlinear_are_learned():
    learned = {kind for kind in IMAGE_MULTIPLEXERS.values() if kind.always_learned}
    ours = LinearImageMultiplexer, NonlinearImageMultiplexer, ExpandedNonlinearImageMultiplexer
    assert learned.issuperset(ours)


# One by one


def test_identity_passes_one_image_on():
    x = draw_images(1)
    assert torch.equal(IdentityImageMultiplexer(1, SHAPE)(x), x[:, 0])


def test_identity_adds_up():
    x = draw_images()
    assert_near(IdentityImageMultiplexer(N_MUX, SHAPE)(x), sum_slots(x.transpose(0, 1)))


def test_every_channel_of_every_slot_is_convolved_with_its_kernel():
    multiplexer, x = GaussianImageMultiplexer(N_MUX, SHAPE), draw_images()
    slots = []
    for slot in range(N_MUX):
        channels = [
            F.conv2d(x[:, slot, c : c + 1], multiplexer.keys[slot, c][None, None], padding=1)
            for c in range(SHAPE[0])
        ]
        slots.append(torch.cat(channels, 1))
    assert_near(multiplexer(x), sum_slots(slots))


def test_graded_slots_are_blurred_and_count_the_more_the_later():
    x = draw_images()
    ones = torch.ones(SHAPE[0], 1, 3, 3)
    blurred = [
        (slot + 1) * F.conv2d(x[:, slot], ones, padding=1, groups=SHAPE[0]) for slot in range(N_MUX)
    ]
    mixture = GradedImageMultiplexer(N_MUX, SHAPE)(x)
    # 1, 4, 9, 16 and 25 have the mean 11; a kernel of ones makes white noise three times as large.
    assert_near(mixture, sum_slots(blurred) / (3 * math.sqrt(11)))


@pytest.mark.parametrize("n_mux", [3, 16])
def test_remapped_slots_have_tiles_of_their_own(n_mux):
    x = draw_images(n_mux, (1, 20, 20))
    expected = torch.zeros(3, 1, 20, 20)
    for slot in range(n_mux):
        row, column = 5 * (slot % 4), 5 * (slot // 4)
        expected[:, :, row : row + 5, column : column + 5] = x[:, slot, :, ::4, ::4]
    assert_near(RemapImageMultiplexer(n_mux, (1, 20, 20))(x), expected)


def test_more_slots_have_smaller_tiles_and_odd_images_a_rim():
    x = draw_images(17, (2, 11, 16))
    mixture = RemapImageMultiplexer(17, (2, 11, 16))(x)
    assert_near(mixture[:, :, 2:4, 9:12], x[:, 16, :, :10:5, :15:5])
    assert mixture[:, :, 10:].abs().max() == 0


def test_images_smaller_than_the_tiles_are_refused():
    with pytest.raises(ValueError, match=r"\(1, 3, 8\) cannot be divided into 4 x 4 tiles"):
        make("remap", shape=(1, 3, 8))


@pytest.mark.parametrize("kind", [LinearImageMultiplexer, OrthogonalImageMultiplexer])
def test_every_slot_is_multiplied_by_its_matrix(kind):
    multiplexer, x = kind(N_MUX, SHAPE), draw_images()
    slots = [
        (x[:, slot].flatten(1) @ multiplexer.keys[slot]).view(3, *SHAPE) for slot in range(N_MUX)
    ]
    assert_near(multiplexer(x), sum_slots(slots))


def test_orthogonal_keys_are_rotations():
    keys = OrthogonalImageMultiplexer(12, (1, 3, 3)).keys
    assert_near(keys @ keys.mT, torch.eye(9).expand(12, 9, 9))
    assert_near(torch.linalg.det(keys), torch.ones(12))


@pytest.mark.parametrize("name", ["linear", "orthogonal"])
def test_matrices_over_photographs_are_refused(name):
    with pytest.raises(ValueError, match=r"\(3, 224, 224\) have 150528 values, too many .* GiB"):
        make(name, shape=(3, 224, 224))


def test_every_slot_goes_through_its_two_convolutions():
    multiplexer, x = NonlinearImageMultiplexer(N_MUX, SHAPE), draw_images()
    slots = []
    for slot in range(N_MUX):
        hidden = F.conv2d(x[:, slot], multiplexer.keys1[slot], padding=1).tanh()
        slots.append(F.conv2d(hidden, multiplexer.keys2[slot], padding=1).tanh())
    assert hidden.shape[1] == 16
    assert_near(multiplexer(x), sum_slots(slots))


@pytest.mark.parametrize("shape", [SHAPE, (1, 8, 8), (2, 9, 4)])
def test_every_slot_is_turned_by_its_angle(shape):
    multiplexer, x = RotationImageMultiplexer(N_MUX, shape), draw_images(shape=shape)
    slots = []
    for slot in range(N_MUX):
        angle = 360 * slot / N_MUX
        turned = TF.rotate(x[:, slot], angle, interpolation=InterpolationMode.BILINEAR)
        slots.append(turned * (-1) ** slot)
    assert_near(multiplexer(x), sum_slots(slots))


def test_a_quarter_turn_of_a_square_moves_pixels_only():
    multiplexer, x = RotationImageMultiplexer(4, (2, 7, 7)), torch.zeros(3, 4, 2, 7, 7)
    x[:, 1] = torch.randn(3, 2, 7, 7)
    assert_near(multiplexer(x), -torch.rot90(x[:, 1], 1, (2, 3)) / 2)


def test_half_precision_turns_at_the_exact_angles():
    multiplexer, x = RotationImageMultiplexer(3, (1, 64, 64)), draw_images(3, (1, 64, 64))
    turned = multiplexer(x.bfloat16())
    assert turned.dtype == torch.bfloat16
    torch.testing.assert_close(turned.float(), multiplexer(x), atol=0.02, rtol=0.02)
