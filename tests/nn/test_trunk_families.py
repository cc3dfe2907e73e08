"""Every family of torchvision as the trunk of `MuxTrunkClassifier`."""

import pickle

import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.efficientnet import MBConvConfig

from muxlearn.nn.trunks import MuxTrunkClassifier

N_MUX = 4


# A classifier of every family, as small as the family allows.
TINY = {
    "vit": lambda: models.VisionTransformer(16, 8, 1, 2, 8, 16, num_classes=3),
    "swin": lambda: models.SwinTransformer([4, 4], 8, [1, 1], [1, 2], [2, 2], num_classes=3),
    "convnext": lambda: models.ConvNeXt(
        [CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)], num_classes=3
    ),
    "densenet": lambda: models.DenseNet(4, (1, 1), 8, num_classes=3),
    "efficientnet": lambda: models.EfficientNet(
        [MBConvConfig(1, 3, 1, 8, 8, 1), MBConvConfig(4, 3, 2, 8, 16, 1)], 0.2, num_classes=3
    ),
    "maxvit": lambda: models.MaxVit((32, 32), 8, 4, [8], [1], 4, 0.0, num_classes=3),
    "mnasnet": lambda: models.MNASNet(0.25, num_classes=3),
    "mobilenet_v2": lambda: models.MobileNetV2(3, 0.25, [[1, 8, 1, 1]]),
    "mobilenet_v3": lambda: models.mobilenet_v3_small(num_classes=3, reduced_tail=True),
    "shufflenet": lambda: models.ShuffleNetV2([1, 1, 1], [8, 16, 16, 16, 16], num_classes=3),
    "squeezenet": lambda: models.squeezenet1_1(num_classes=3),
}


def images_for(n_mux, n_mixtures=2, size=8):
    return torch.randn(n_mixtures * n_mux, 3, size, size)


def assert_near(actual, expected):
    torch.testing.assert_close(actual, expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("family", TINY)
def test_every_family_predicts_at_every_n_mux(family):
    plain = TINY[family]()
    nn.init.normal_(list(plain.parameters())[-2])  # a transformer's last layer starts at zero
    model = MuxTrunkClassifier(plain, 3, 2, operating_points=(1, 2)).eval()
    images = images_for(2, size=16 if family == "vit" else 32)
    logits = model(images)
    assert logits.shape == (4, 3)
    assert (model(images.flip(0)).flip(0) - logits).abs().max() > 1e-5
    assert_near(model(images[2:]), logits[2:])
    assert model(images, 1).shape == (4, 3)
    assert_near(model.for_inference()(images), logits)


@pytest.mark.parametrize("family", TINY)
def test_every_family_trains(family):
    # Some begin their classifier with an in-place layer.
    model = MuxTrunkClassifier(TINY[family](), 3, 2).train()
    model(images_for(2, size=16 if family == "vit" else 32)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("family", TINY)
def test_one_slot_and_the_identity_are_any_family_as_it_is(family):
    plain = TINY[family]().eval()
    model = MuxTrunkClassifier(plain, 3, binding="identity").eval()
    images = images_for(2, size=16 if family == "vit" else 32)
    assert torch.equal(model(images), plain(images))


@pytest.mark.parametrize(
    ("name", "size", "channels", "features"),
    [
        ("alexnet", 64, 64, 4096),
        ("efficientnet_b0", 32, 32, 1280),
        ("googlenet", 32, 64, 1024),
        ("inception_v3", 96, 64, 2048),
        ("mnasnet0_5", 32, 16, 1280),
        ("vgg11", 32, 64, 4096),
        ("vgg11_bn", 32, 64, 4096),
    ],
)
def test_larger_families_fit_by_their_shapes(name, size, channels, features):
    with torch.device("meta"):
        model = MuxTrunkClassifier(name, 3, 2).train()
        assert model(images_for(2, size=size)).shape == (4, 3)
    assert model.binding.channels == channels
    assert model.unbinding.linear.in_features == features


def test_regnets_fit():
    model = MuxTrunkClassifier("regnet_x_400mf", 3, 2).eval()
    assert model(images_for(2, size=32)).shape == (4, 3)
    assert (model.binding.channels, model.unbinding.linear.in_features) == (32, 400)


@pytest.mark.parametrize("name", ["vgg11", "vgg11_bn"])
def test_vgg_is_bound_behind_its_first_activation(name):
    with torch.device("meta"):
        trunk = MuxTrunkClassifier(name, 3, 2).trunk
    (bound,) = [m for m in trunk.modules() if m._forward_hooks]
    assert bound is next(m for m in trunk.modules() if isinstance(m, nn.ReLU))


def test_a_pickled_model_is_the_same():
    model, images = MuxTrunkClassifier(TINY["vit"](), 3, 2).eval(), images_for(2, size=16)
    assert torch.equal(pickle.loads(pickle.dumps(model))(images), model(images))


@pytest.mark.parametrize("family", [name for name in TINY if name != "squeezenet"])
def test_the_last_layer_reads_the_vectors_of_images(family):
    model = MuxTrunkClassifier(TINY[family](), 3, N_MUX).eval()
    images = images_for(N_MUX, size=16 if family == "vit" else 32)
    vectors = model.without_last_layer()(images)
    assert vectors.shape == (len(images), model.penultimate_size)
    layer = model._last_layer
    assert_near(nn.functional.linear(vectors, layer.weight, layer.bias), model(images))


def test_a_last_layer_that_reads_maps_has_their_mean():
    model = MuxTrunkClassifier(TINY["squeezenet"](), 3, N_MUX).eval()
    vectors = model.without_last_layer()(images_for(N_MUX, size=32))
    assert vectors.shape == (2 * N_MUX, model.penultimate_size) == (2 * N_MUX, 512)
