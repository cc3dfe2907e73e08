import copy
import threading

import pytest
import torch
from torch import nn
from torchvision import models

from muxlearn.nn.binding import BINDINGS
from muxlearn.nn.trunks import MuxTrunkClassifier, TrunkNorm, list_trunks

N_MUX = 4
every_binding = pytest.mark.parametrize("binding", BINDINGS)
every_n_mux = pytest.mark.parametrize("n_mux", range(1, N_MUX + 1))


class TinyNet(nn.Module):
    """A network of nobody's family, whose statistics are not as they start."""

    def __init__(self, n_classes=3):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8, eps=1e-3)
        self.conv2 = nn.Conv2d(8, 12, 3, stride=2)
        self.norm2 = nn.BatchNorm2d(12, momentum=0.2)
        self.fc = nn.Linear(12, n_classes)
        for norm in (self.norm1, self.norm2):
            nn.init.uniform_(norm.running_var, 0.5, 2)
            nn.init.normal_(norm.running_mean)

    def stem(self, x):
        return self.norm1(self.conv1(x))

    def body(self, x):
        return self.norm2(self.conv2(x.relu())).relu().mean((2, 3))

    def forward(self, x):
        return self.fc(self.body(self.stem(x)))


def make(n_mux=N_MUX, trunk=None, n_classes=3, **options):
    options = {"bind_after": "norm1", "unbind_before": "fc"} | options
    return MuxTrunkClassifier(trunk or TinyNet(), n_classes, n_mux, **options).eval()


def images_for(n_mux, n_mixtures=2, size=8):
    return torch.randn(n_mixtures * n_mux, 3, size, size)


def assert_near(actual, expected):
    torch.testing.assert_close(actual, expected, atol=2e-5, rtol=1e-5)


def statistics(model):
    return copy.deepcopy([m for m in model.modules() if isinstance(m, TrunkNorm)])


# Forward


@every_binding
@every_n_mux
def test_images_are_bound_behind_the_stem_and_unbound_before_the_classifier(binding, n_mux):
    trunk, images = TinyNet().eval(), images_for(n_mux)
    model = make(trunk=trunk, binding=binding)
    mixed = model.binding(trunk.stem(images).unflatten(0, (2, n_mux)))
    expected = trunk.fc(model.unbinding(trunk.body(mixed), n_mux)).flatten(0, 1)
    assert_near(model(images, n_mux), expected)


def test_the_capacity_is_the_default():
    model, images = make(), images_for(N_MUX)
    assert torch.equal(model(images), model(images, N_MUX))


@every_binding
def test_mixtures_do_not_see_each_other(binding):
    model, images = make(binding=binding), images_for(N_MUX)
    assert_near(model(images)[:N_MUX], model(images[:N_MUX]))


@every_binding
def test_the_gradient_reaches_all_parameters(binding):
    model = make(binding=binding).train()
    model(images_for(N_MUX)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_one_slot_and_the_identity_are_the_network_of_torchvision(name):
    plain = models.get_model(name, num_classes=3).eval()
    for norm in plain.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_var, 0.5, 2)
    model = MuxTrunkClassifier(name, 3, binding="identity", weights=plain.state_dict()).eval()
    images = images_for(2, size=32)
    assert model.unbinding is None
    assert torch.equal(model(images), plain(images))


def test_every_norm_has_statistics_of_each_point():
    plain, places = TinyNet(), {"bind_after": "norm1", "unbind_before": "fc"}
    plain.norm2 = nn.BatchNorm2d(12, affine=False)
    model = MuxTrunkClassifier(plain, 3, 2, operating_points=(1, 2), **places)
    assert isinstance(model.trunk.norm2, TrunkNorm)
    assert not model.trunk.norm2.weight.requires_grad
    alone = MuxTrunkClassifier(plain, 3, binding="identity", **places).eval()
    images = images_for(2)
    assert_near(alone(images), plain.eval()(images))


def test_threads_may_differ_in_n_mux():
    model, images = make(operating_points=(1, 2, 4)), images_for(N_MUX, n_mixtures=1)
    expected = {n: model(images, n) for n in (1, 2, 4)}
    inside, both = threading.Barrier(3), {}

    def wait_for_the_others(*args):
        inside.wait(10)

    model.trunk.conv1.register_forward_hook(wait_for_the_others)

    def predict(n_mux):
        with torch.no_grad():
            both[n_mux] = model(images, n_mux)

    threads = [threading.Thread(target=predict, args=(n,)) for n in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n_mux, logits in expected.items():
        assert_near(both[n_mux], logits)


# Trunks and weights


def test_all_classifiers_of_torchvision_are_known():
    names = list_trunks()
    assert {"resnet18", "mobilenet_v3_small", "vit_b_16"} <= set(names)
    assert not {"fcn_resnet50", "raft_small", "quantized_resnet18"} & set(names)


def test_the_given_module_is_left_as_it_was():
    trunk = TinyNet().eval()
    images = images_for(2)
    before = trunk(images)
    make(trunk=trunk, n_classes=7)
    assert torch.equal(trunk(images), before)


def test_a_classifier_of_as_many_classes_is_kept():
    trunk = TinyNet()
    assert torch.equal(make(trunk=trunk).trunk.fc.weight, trunk.fc.weight)
    assert make(trunk=trunk, n_classes=5).trunk.fc.weight.shape == (5, 12)


def test_tensors_of_more_classes_make_all_but_the_classifier():
    plain = models.squeezenet1_1(num_classes=9)
    tensors = plain.state_dict()
    model = MuxTrunkClassifier("squeezenet1_1", 3, 2, weights=tensors)
    own = model.trunk.state_dict()
    assert torch.equal(own["features.0.weight"], tensors["features.0.weight"])
    assert own["classifier.1.weight"].shape == (3, 512, 1, 1)


def test_tensors_without_versions_will_do():
    tensors = dict(models.mnasnet0_5(num_classes=3).state_dict())
    model = MuxTrunkClassifier("mnasnet0_5", 3, weights=tensors)
    assert torch.equal(model.trunk.layers[0].weight, tensors["layers.0.weight"])
    model.load_state_dict(dict(model.state_dict()))


def test_tensors_of_auxiliary_classifiers_are_left_out():
    with torch.device("meta"):
        tensors = models.googlenet(num_classes=3, aux_logits=True, init_weights=False).state_dict()
        model = MuxTrunkClassifier("googlenet", 3, weights=tensors)
    assert any(name.startswith("aux1.") for name in tensors)
    assert not any(name.startswith("aux1.") for name in model.trunk.state_dict())


def test_weights_of_torchvision_are_fetched_when_asked_for_alone(monkeypatch):
    fetched = []

    def fetch(self, *args, **options):
        fetched.append(self.name)
        return tensors

    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", fetch)
    tensors = models.squeezenet1_1().state_dict()
    MuxTrunkClassifier("squeezenet1_1", 3, 2)
    assert fetched == []
    model = MuxTrunkClassifier("squeezenet1_1", 3, 2, weights="DEFAULT")
    assert fetched == ["IMAGENET1K_V1"]
    assert torch.equal(model.trunk.features[0].weight, tensors["features.0.weight"])
    assert model.trunk.classifier[1].out_channels == 3


@pytest.mark.parametrize("in_channels", [1, 2, 3, 5])
def test_other_channels_than_the_trunk_s(in_channels):
    model = make(in_channels=in_channels)
    images = torch.randn(2 * N_MUX, in_channels, 8, 8)
    assert model(images).shape == (2 * N_MUX, 3)


@pytest.mark.parametrize("in_channels", [1, 2])
def test_grey_images_count_as_if_in_all_channels(in_channels):
    trunk, grey = TinyNet(), torch.randn(N_MUX, 1, 8, 8)
    torch.manual_seed(0)
    expected = make(trunk=trunk)(grey.expand(-1, 3, -1, -1))
    torch.manual_seed(0)
    model = make(trunk=trunk, in_channels=in_channels)
    assert_near(model(grey.expand(-1, in_channels, -1, -1)), expected)


def test_the_names_of_the_trunk_s_tensors_stay():
    plain = models.squeezenet1_1(num_classes=3)
    model = MuxTrunkClassifier("squeezenet1_1", 3, 2)
    assert list(model.trunk.state_dict()) == list(plain.state_dict())


# What is refused


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"'resnet_18' is not a .* mean 'resnet18'\?\).*alexnet"):
        MuxTrunkClassifier("resnet_18", 3)


def test_an_unknown_class_needs_names():
    with pytest.raises(ValueError, match=r"class TinyNet is not of .* \['conv1', 'norm1'") as error:
        MuxTrunkClassifier(TinyNet(), 3)
    assert all(word in str(error.value) for word in ("ResNet", "`bind_after`", "`unbind_before`"))


@pytest.mark.parametrize("what", ["bind_after", "unbind_before"])
def test_unknown_modules_are_refused(what):
    with pytest.raises(
        ValueError, match=rf"`{what}` is 'norm3', which is not a module .* mean 'norm"
    ):
        make(**{what: "norm3"})


@pytest.mark.parametrize("options", [{"trunk": nn.Sequential(nn.ReLU(), nn.Linear(2, 3))}])
def test_a_stem_without_convolution_is_refused(options):
    with pytest.raises(ValueError, match=r"`bind_after` '0' must be or follow a Conv2d"):
        make(bind_after="0", unbind_before="1", **options)


def test_a_stem_of_other_shapes_is_refused():
    class Flat(TinyNet):
        def __init__(self):
            super().__init__()
            self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

        def body(self, x):
            return self.pool(super().body(x)[..., None, None])

    with pytest.raises(ValueError, match=r"the stem returns \(8, 12\); to be bound .* 12, height"):
        make(trunk=Flat(), bind_after="pool", unbind_before="fc")(images_for(N_MUX))


def test_a_stem_that_never_runs_is_refused():
    trunk = TinyNet()
    trunk.idle = nn.Identity()
    with pytest.raises(ValueError, match=r"of 8 images the trunk made \(32, 3\)"):
        make(trunk=trunk, bind_after="idle")(images_for(N_MUX))


def test_weights_do_not_go_with_a_module():
    with pytest.raises(ValueError, match="load them into the module"):
        make(weights="DEFAULT")


def test_unknown_weights_are_refused():
    with pytest.raises(ValueError, match=r"'V9' of mobilenet_v2: it has \['IMAGENET1K_V1', "):
        MuxTrunkClassifier("mobilenet_v2", 3, weights="V9")


def test_tensors_of_another_network_are_refused():
    with pytest.raises(ValueError, match=r"(?s)weights do not fit squeezenet1_1: .*Missing"):
        MuxTrunkClassifier("squeezenet1_1", 3, weights=TinyNet().state_dict())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"binding": "xor"}, r"binding='xor' is not one of \["),
        ({"n_mux": 0}, "n_mux=0 must be at least 1"),
        ({"operating_points": (2, 5)}, "different numbers from 1 to 4, the capacity"),
    ],
)
def test_options_that_are_not_allowed_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


@pytest.mark.parametrize("n_mux", [0, 5])
def test_other_numbers_of_images_than_there_are_slots_for_are_refused(n_mux):
    with pytest.raises(ValueError, match=rf"n_mux={n_mux} is outside of 1 to 4"):
        make()(images_for(20), n_mux)


def test_a_trunk_that_reads_three_channels_is_no_other():
    with torch.device("meta"):
        trunk = models.googlenet(transform_input=True, aux_logits=False, init_weights=False)
        with pytest.raises(ValueError, match="in_channels=1 does not fit a trunk with transform_"):
            MuxTrunkClassifier(trunk, 3, in_channels=1)


# Operating points


def test_every_operating_point_starts_from_the_trunk_s_statistics():
    trunk = TinyNet()
    first, second = statistics(make(trunk=trunk, operating_points=(1, 4)))
    assert torch.equal(first.running_mean, trunk.norm1.running_mean.expand(2, 8))
    assert torch.equal(second.running_var, trunk.norm2.running_var.expand(2, 12))
    assert (first.eps, first.momentum, second.momentum) == (1e-3, 0.1, 0.2)


@pytest.mark.parametrize(("n_mux", "point"), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 1), (6, 2)])
def test_the_nearest_operating_point_counts_and_the_larger_of_two(n_mux, point):
    assert make(8, operating_points=(1, 4, 8)).nearest_point(n_mux) == point


def test_training_at_one_operating_point_leaves_the_others_statistics():
    model = make(operating_points=(1, 2, 4)).train()
    before = statistics(model)
    model(images_for(2), 2)
    for old, new in zip(before, statistics(model), strict=True):
        changed = (old.running_mean != new.running_mean).any(1)
        assert changed.tolist() == [False, True, False]


def test_recalibrated_statistics_are_those_of_the_batches():
    model, batches = make(operating_points=(1, 4)), [images_for(N_MUX) for _ in range(3)]
    model.recalibrate(batches)
    outputs = torch.stack([model.trunk.conv1(images).mean((0, 2, 3)) for images in batches])
    assert_near(model.trunk.norm1.running_mean[1], outputs.mean(0))
    assert not model.training
    assert [norm.momentum for norm in statistics(model)] == [0.1, 0.2]


def test_recalibrating_needs_an_operating_point_and_batches():
    with pytest.raises(ValueError, match="n_mux=2 has no statistics of its own"):
        make().recalibrate([images_for(2)], 2)
    with pytest.raises(ValueError, match="batches is empty"):
        make().recalibrate([])


# Inference and keeping


@every_binding
@every_n_mux
def test_inference_gives_the_same(binding, n_mux):
    model, images = make(binding=binding, operating_points=(1, 2, 4)), images_for(n_mux)
    assert_near(model.for_inference()(images, n_mux), model(images, n_mux))


def test_inference_shares_nothing_with_the_model():
    model, images = make(), images_for(N_MUX)
    folded = model.for_inference()
    before = folded(images)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.zero_()
    assert torch.equal(folded(images), before)
    assert not any(p.requires_grad for p in folded.parameters())


def test_inference_in_half_precision():
    model, images = make(), images_for(N_MUX)
    logits = model.for_inference(torch.bfloat16)(images.bfloat16())
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), model(images), atol=0.1, rtol=0.1)


def test_a_state_dict_makes_the_same_model():
    model, images = make(operating_points=(1, 4)), images_for(N_MUX)
    other = make(operating_points=(1, 4))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(images), model(images))


def test_a_trunk_starts_with_the_last_layer_that_it_has():
    model = make()
    before = model.trunk.fc.bias.detach().clone()
    model.start_from(torch.full((3,), 7.0))
    torch.testing.assert_close(model.trunk.fc.bias, before)
