import pickle

import pytest
import torch
from torch.nn import functional as F

from muxlearn.nn.image_multiplex import IMAGE_MULTIPLEXERS
from muxlearn.nn.vision import FoldedLinear, MuxVisionCNN, MuxVisionMLP, SlotHeads

N_MUX, SHAPE = 3, (2, 9, 13)
every_network = pytest.mark.parametrize("network", [MuxVisionMLP, MuxVisionCNN])
every_multiplexer = pytest.mark.parametrize("multiplexer", IMAGE_MULTIPLEXERS)
every_n_mux = pytest.mark.parametrize("n_mux", range(1, N_MUX + 1))


def make(network, n_mux=N_MUX, image_shape=SHAPE, **options):
    return network(5, n_mux, image_shape=image_shape, **options).eval()


def images_for(n_mux, n_mixtures=2, shape=SHAPE):
    return torch.randn(n_mixtures * n_mux, *shape)


def assert_near(actual, expected):
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


# What both share


@every_network
@every_multiplexer
@every_n_mux
def test_every_image_gets_logits(network, multiplexer, n_mux):
    assert make(network, multiplexer=multiplexer)(images_for(n_mux), n_mux).shape == (2 * n_mux, 5)


@every_network
def test_the_capacity_is_the_default(network):
    model, images = make(network), images_for(N_MUX)
    assert torch.equal(model(images), model(images, N_MUX))


@every_network
def test_mixtures_do_not_see_each_other(network):
    model, images = make(network), images_for(N_MUX)
    assert_near(model(images)[N_MUX:], model(images[N_MUX:]))


@every_network
@every_multiplexer
def test_the_gradient_reaches_all_that_is_learned(network, multiplexer):
    model = make(network, multiplexer=multiplexer).train()
    model(images_for(N_MUX)).square().sum().backward()
    reached = {name for name, p in model.named_parameters() if p.grad is not None}
    assert reached == {name for name, p in model.named_parameters() if p.requires_grad}
    of_keys = any(name.startswith("multiplexer.") for name in reached)
    assert of_keys == IMAGE_MULTIPLEXERS[multiplexer].always_learned


@every_network
@every_n_mux
def test_what_the_slots_of_an_image_say_is_averaged(network, n_mux):
    model, images = make(network), images_for(n_mux)
    slots = torch.arange(N_MUX) % n_mux
    repeated = images.unflatten(0, (2, n_mux))[:, slots].flatten(0, 1)
    by_slot = model(repeated).unflatten(0, (2, N_MUX))
    expected = torch.stack([by_slot[:, slots == place].mean(1) for place in range(n_mux)], 1)
    assert_near(model(images, n_mux), expected.flatten(0, 1))


def test_the_heads_follow_their_formula():
    heads, mixed = SlotHeads(N_MUX, 4, 5), torch.randn(2, 4)
    weights, biases = heads.slots.weight.chunk(N_MUX), heads.slots.bias.chunk(N_MUX)
    expected = [
        heads.output(F.linear(mixed, w, b).tanh()) for w, b in zip(weights, biases, strict=True)
    ]
    assert_near(heads(mixed, N_MUX), torch.stack(expected, 1))


@every_network
@every_multiplexer
def test_a_state_dict_makes_the_same_network(network, multiplexer):
    model, images = make(network, multiplexer=multiplexer), images_for(N_MUX)
    other = make(network, multiplexer=multiplexer)
    assert not torch.allclose(other(images), model(images))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(images), model(images))


@every_network
def test_training_lowers_the_loss(network):
    model = make(network, 2).train()
    images, labels = images_for(2, n_mixtures=4), torch.arange(8) % 5
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


# What is refused


@every_network
@pytest.mark.parametrize("n_mux", [0, 4])
def test_other_numbers_of_images_than_there_are_slots_for_are_refused(network, n_mux):
    with pytest.raises(ValueError, match=rf"n_mux={n_mux} is outside of 1 to 3"):
        make(network)(images_for(12), n_mux)


@every_network
@pytest.mark.parametrize("shape", [(2, 9, 12), (1, 9, 13), (9, 13)])
def test_images_of_another_shape_are_refused(network, shape):
    with pytest.raises(ValueError, match=r"do not fit a network for images of shape \(2, 9, 13\)"):
        make(network)(images_for(N_MUX, shape=shape))


@every_network
@pytest.mark.parametrize("shape", [(9, 13), (0, 9, 13)])
def test_other_image_shapes_are_refused(network, shape):
    with pytest.raises(ValueError, match="must be three positive numbers"):
        make(network, image_shape=shape)


@every_network
def test_unknown_multiplexers_are_refused(network):
    with pytest.raises(ValueError, match=r"multiplexer='hrr' is not one of \['expanded"):
        make(network, multiplexer="hrr")


@every_network
def test_no_slots_are_refused(network):
    with pytest.raises(ValueError, match="n_mux=0 must be at least 1"):
        make(network, 0)


def test_a_perceptron_without_layers_is_refused():
    with pytest.raises(ValueError, match="hidden_sizes is empty"):
        make(MuxVisionMLP, hidden_sizes=())


def test_other_numbers_of_convolutions_are_refused():
    with pytest.raises(ValueError, match=r"channels=\(10, 16\) must be three numbers"):
        make(MuxVisionCNN, channels=(10, 16))


# The perceptron


def test_the_perceptron_has_its_layers():
    model, images = make(MuxVisionMLP, hidden_sizes=(7, 6, 4)), images_for(N_MUX)
    x = model.multiplexer(images.unflatten(0, (2, N_MUX))).flatten(1)
    for linear, size in zip(model.layers[::2], (7, 6, 4), strict=True):
        x = linear(x).tanh()
        assert x.shape == (2, size)
    assert_near(model(images), model.heads(x, N_MUX).flatten(0, 1))


# The convolutional network


def test_at_20_pixels_it_is_the_network_of_the_study():
    model = make(MuxVisionCNN, image_shape=(1, 20, 20), multiplexer="nonlinear")
    sizes = [tuple(conv.weight.shape) for conv in (model.conv1, model.conv2, model.conv3)]
    assert sizes == [(10, 1, 3, 3), (16, 10, 4, 4), (120, 16, 3, 3)]
    assert set(model.padding) == {0}
    mixed = torch.randn(2, 1, 20, 20)
    x = F.max_pool2d(model.conv1(mixed).tanh(), 2)
    x = F.max_pool2d(model.conv2(x).tanh(), 2)
    x = model.hidden(model.conv3(x).tanh().flatten(1)).tanh()
    assert_near(model.features(mixed), x)


def test_the_expanded_mixture_has_more_channels_than_an_image():
    assert make(MuxVisionCNN, multiplexer="expanded_nonlinear").conv1.in_channels == 16


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (11, 12), (12, 13), (28, 28), (33, 7)])
def test_the_last_convolution_leaves_one_pixel_of_any_image(size):
    model = make(MuxVisionCNN, 1, image_shape=(1, *size))
    pixels = []
    model.conv3.register_forward_hook(lambda module, args, output: pixels.append(output.shape))
    model(images_for(1, shape=(1, *size)))
    assert pixels == [(2, 120, 1, 1)]


def test_small_images_stand_in_the_middle():
    model = make(MuxVisionCNN, image_shape=(1, 9, 20))
    assert F.pad(torch.ones(1, 9, 20), model.padding).sum((0, 2)).tolist() == [
        *[0] * 1, *[20] * 9, *[0] * 2,
    ]  # fmt: skip


# Inference


@every_network
@every_multiplexer
@every_n_mux
def test_inference_gives_the_same(network, multiplexer, n_mux):
    model, images = make(network, multiplexer=multiplexer), images_for(n_mux)
    assert_near(model.for_inference()(images, n_mux), model(images, n_mux))


@pytest.mark.parametrize("multiplexer", ["linear", "orthogonal"])
def test_a_perceptron_multiplies_once_by_matrices_at_inference(multiplexer):
    folded = make(MuxVisionMLP, multiplexer=multiplexer, hidden_sizes=(6, 4)).for_inference()
    assert isinstance(folded.multiplexer, FoldedLinear)
    assert folded.multiplexer.keys.shape == (N_MUX, 2 * 9 * 13, 6)
    assert len(folded.layers) == 3


@every_network
def test_preparing_twice_changes_nothing(network):
    model, images = make(network).for_inference(), images_for(N_MUX)
    assert torch.equal(model.for_inference()(images), model(images))


@every_network
@pytest.mark.parametrize("multiplexer", ["orthogonal", "nonlinear"])
def test_inference_shares_no_memory_and_has_no_gradient(network, multiplexer):
    model = make(network, multiplexer=multiplexer).train()
    folded = model.for_inference()
    own = {t.data_ptr() for t in model.state_dict().values()}
    assert own.isdisjoint(t.data_ptr() for t in folded.state_dict().values())
    assert not folded.training
    assert not any(p.requires_grad for p in folded.parameters())


@every_network
@every_multiplexer
def test_inference_in_half_precision(network, multiplexer):
    model, images = make(network, multiplexer=multiplexer), images_for(N_MUX)
    logits = model.for_inference(torch.bfloat16)(images.bfloat16())
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), model(images), atol=0.05, rtol=0.05)


@every_network
def test_what_is_prepared_can_be_pickled(network):
    model, images = make(network).for_inference(), images_for(N_MUX)
    assert torch.equal(pickle.loads(pickle.dumps(model))(images), model(images))
