import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from muxlearn.nn.binding import (
    BINDINGS,
    HRRBinding,
    IdentityBinding,
    MBATBinding,
    SubspaceBinding,
    Unbinding,
)

N_MUX, CHANNELS = 5, 12  # the channels are no multiple of the slots
every_binding = pytest.mark.parametrize("name", BINDINGS)
every_n_places = pytest.mark.parametrize("n_places", range(1, N_MUX + 1))


def make(name, n_mux=N_MUX, channels=CHANNELS):
    return BINDINGS[name](n_mux, channels)


def feature_maps(n_places=N_MUX, channels=CHANNELS, n_mixtures=3):
    return torch.randn(n_mixtures, n_places, channels, 4, 5)


def channels_last(x):
    """The same maps with the channels last in memory."""
    return x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, x.shape[:2])


def repeat_over_slots(x):
    return x[:, torch.arange(N_MUX) % x.shape[1]]


# What all bindings share


@every_binding
def test_a_mixture_has_the_shape_of_one_image(name):
    assert make(name)(feature_maps()).shape == (3, CHANNELS, 4, 5)


@every_binding
def test_every_binding_is_linear(name):
    binding = make(name)
    x, y = feature_maps(), feature_maps()
    torch.testing.assert_close(
        binding(2 * x - 3 * y), 2 * binding(x) - 3 * binding(y), atol=1e-5, rtol=1e-5
    )


@every_binding
@every_n_places
def test_fewer_images_count_as_repeated_over_the_slots(name, n_places):
    binding, x = make(name), feature_maps(n_places)
    torch.testing.assert_close(binding(x), binding(repeat_over_slots(x)), atol=1e-5, rtol=1e-5)


@every_binding
@pytest.mark.parametrize("n_mux", [1, N_MUX])
def test_more_images_than_slots_are_refused(name, n_mux):
    with pytest.raises(ValueError, match=f"{n_mux + 1} rows do not fit into the {n_mux} slots"):
        make(name, n_mux)(feature_maps(n_mux + 1))


@every_binding
@every_n_places
def test_the_layout_in_memory_does_not_matter(name, n_places):
    binding, x = make(name), feature_maps(n_places)
    torch.testing.assert_close(binding(channels_last(x)), binding(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["hrr", "mbat"])
def test_the_layout_in_memory_is_kept(name):
    binding, x = make(name), feature_maps()
    assert binding(x).is_contiguous()
    assert binding(channels_last(x)).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", sorted(BINDINGS.keys() - {"identity"}))
def test_a_binding_tells_its_slots_apart(name):
    binding, x = make(name), feature_maps()
    assert (binding(x) - binding(x.flip(1))).abs().max() > 0.1


@every_binding
@every_n_places
def test_inference_gives_the_same(name, n_places):
    binding, x = make(name), feature_maps(n_places)
    torch.testing.assert_close(binding.for_inference()(x), binding(x))


@every_binding
def test_keys_that_are_not_learned_have_no_gradient(name):
    binding = BINDINGS[name](N_MUX, CHANNELS, learn_keys=False)
    assert not any(p.requires_grad for p in binding.parameters())


@every_binding
def test_the_representation_shows_the_sizes(name):
    assert "n_mux=5, channels=12, learn_keys=True" in repr(make(name))


# One by one


def test_hrr_is_circular_convolution():
    binding, x = HRRBinding(N_MUX, CHANNELS), feature_maps()
    m = torch.arange(CHANNELS)
    keys = binding.keys[:, (CHANNELS // 2 - 1 - m) % CHANNELS]
    spectrum = torch.fft.fft(keys)[:, :, None, None] * torch.fft.fft(x, dim=2)
    torch.testing.assert_close(
        binding(x), torch.fft.ifft(spectrum, dim=2).real.sum(1), atol=1e-5, rtol=1e-5
    )


def test_hrr_with_a_shifted_one_as_key_passes_on():
    binding, x = HRRBinding(1, CHANNELS), feature_maps(1)
    with torch.no_grad():
        binding.keys.zero_()[0, CHANNELS // 2 - 1] = 1.0
    torch.testing.assert_close(binding(x), x[:, 0])


def test_hrr_keys_start_within_their_bounds():
    keys = HRRBinding(20, 100).keys
    assert 0.099 < keys.abs().max() < 0.1


def test_hrr_builds_no_circulants_at_inference():
    binding = HRRBinding(N_MUX, CHANNELS)
    folded = binding.for_inference()
    assert folded.matrices() is folded.keys
    assert torch.equal(folded.keys, binding.matrices())


def test_mbat_follows_its_formula():
    binding, x = MBATBinding(N_MUX, CHANNELS), feature_maps()
    expected = torch.stack(
        [torch.einsum("ij,bjhw->bihw", binding.keys[s], x[:, s]) for s in range(N_MUX)]
    ).sum(0)
    torch.testing.assert_close(binding(x), expected, atol=1e-5, rtol=1e-5)


def test_an_mbat_mixture_starts_with_twice_the_variance_of_an_image():
    binding = MBATBinding(4, 128)
    assert binding(feature_maps(4, 128)).var().item() == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize("name", ["hrr", "mbat"])
def test_the_gradient_reaches_keys_and_images_through_one_product(name):
    binding = make(name, n_mux=2, channels=4).double()
    x = torch.randn(2, 2, 4, 2, 2, dtype=torch.float64, requires_grad=True)

    def run(keys, x):
        return torch.func.functional_call(binding, {"keys": keys}, (x,))

    assert torch.autograd.gradcheck(run, (binding.keys.detach().requires_grad_(), x))


def test_identity_passes_one_image_on():
    x = feature_maps(1)
    assert torch.equal(IdentityBinding(1, CHANNELS)(x), x[:, 0])


def test_identity_adds_up():
    x = feature_maps()
    torch.testing.assert_close(IdentityBinding(N_MUX, CHANNELS)(x), x.sum(1))


@given(st.integers(1, 7), st.integers(7, 30))
def test_every_slot_owns_its_share_of_the_channels(n_mux, channels):
    sizes = SubspaceBinding(n_mux, channels).slot_of_channel.bincount(minlength=n_mux)
    assert sizes.sum() == channels
    assert set(sizes.tolist()) <= {channels // n_mux, channels // n_mux + 1}


def test_a_subspace_mixture_holds_each_image_unchanged():
    binding, x = SubspaceBinding(4, CHANNELS), feature_maps(4)
    mixture = binding(x)
    for slot in range(4):
        own = slice(3 * slot, 3 * slot + 3)
        assert torch.equal(mixture[:, own], x[:, slot, own])


@every_n_places
def test_a_widened_convolution_binds(n_places):
    binding = SubspaceBinding(N_MUX, CHANNELS)
    images, kernel = torch.randn(3, n_places, 2, 6, 6), torch.randn(CHANNELS, 2, 3, 3)
    one_by_one = torch.nn.functional.conv2d(images.flatten(0, 1), kernel)
    at_once = torch.nn.functional.conv2d(images.flatten(1, 2), binding.widen(kernel, n_places))
    expected = binding(one_by_one.unflatten(0, (3, n_places)))
    torch.testing.assert_close(at_once, expected, atol=1e-5, rtol=1e-5)


def test_one_image_costs_no_wider_kernel():
    kernel = torch.randn(CHANNELS, 2, 3, 3)
    assert SubspaceBinding(N_MUX, CHANNELS).widen(kernel, 1) is kernel


def test_more_slots_than_channels_are_refused():
    with pytest.raises(ValueError, match="3 channels hold at most 3 slots, not 4"):
        SubspaceBinding(4, 3)


def test_holographic_binding_of_an_odd_number_of_channels_is_refused():
    with pytest.raises(ValueError, match="an even number of channels, not 7; 'mbat' and 'sub"):
        HRRBinding(2, 7)


# The way back


def test_unbinding_follows_its_formula():
    unbinding, pooled = Unbinding(3, 4), torch.randn(2, 4)
    slots = unbinding.linear.weight.unflatten(0, (3, 4)) @ pooled[:, None, :, None]
    expected = (slots.squeeze(-1) + unbinding.linear.bias.unflatten(0, (3, 4))).relu()
    torch.testing.assert_close(unbinding(pooled, 3), expected)


@pytest.mark.parametrize("n_places", [1, 2, 3, 4])
def test_what_the_slots_of_an_image_say_is_averaged(n_places):
    unbinding, pooled = Unbinding(4, 6), torch.randn(2, 6)
    slots = unbinding(pooled, 4)
    expected = torch.stack([slots[:, p::n_places].mean(1) for p in range(n_places)], 1)
    torch.testing.assert_close(unbinding(pooled, n_places), expected)
