import copy
import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from muxlearn.nn import mimoconv
from muxlearn.nn.binding import BINDINGS
from muxlearn.nn.mimoconv import MuxWideResNet
from muxlearn.nn.mimoconv_recipe import backward, one_cycle_sgd, parameter_groups
from muxlearn.nn.regularize import isometry_regularizer
from muxlearn.nn.wideresnet import ACTIVATIONS, OperatingPointNorm, ShiftedReLU

N_MUX = 4
CASE = Path(__file__).parents[1] / "data" / "mimoconv_mimonet-2stage_hrr_n2_1x28.json"
every_binding = pytest.mark.parametrize("binding", BINDINGS)
every_n_mux = pytest.mark.parametrize("n_mux", range(1, N_MUX + 1))


def make(n_mux=N_MUX, **options):
    """A small network whose batch statistics and activations are not as they start."""
    options = {"depth": 10, "width": 1, "initial_width": 1, "n_stages": 2} | options
    model = MuxWideResNet(3, n_mux, **options)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, OperatingPointNorm):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(-0.5, 1.5)
                module.bias.normal_(0, 0.3)
    return model.eval()


def images_for(n_mux, n_mixtures=2, size=8):
    return torch.randn(n_mixtures * n_mux, 3, size, size)


def assert_near(actual, expected):
    torch.testing.assert_close(actual, expected, atol=2e-5, rtol=1e-5)


def statistics(model):
    return copy.deepcopy([m for m in model.modules() if isinstance(m, OperatingPointNorm)])


# Forward


@every_binding
@every_n_mux
def test_every_image_gets_logits(binding, n_mux):
    assert make(binding=binding)(images_for(n_mux), n_mux).shape == (2 * n_mux, 3)


def test_the_capacity_is_the_default():
    model, images = make(), images_for(N_MUX)
    assert torch.equal(model(images), model(images, N_MUX))


@every_n_mux
def test_pixels_of_a_patch_are_channels(n_mux):
    torch.manual_seed(0)
    model, images = make(patch_size=2), images_for(n_mux)
    plain = make(in_channels=12)
    plain.load_state_dict(model.state_dict())
    corners = [images[:, :, i::2, j::2] for i in range(2) for j in range(2)]
    assert_near(model(images, n_mux), plain(torch.stack(corners, 2).flatten(1, 2), n_mux))
    assert_near(model.for_inference()(images, n_mux), model(images, n_mux))


@every_binding
def test_mixtures_do_not_see_each_other(binding):
    model, images = make(binding=binding), images_for(N_MUX)
    assert_near(model(images)[:N_MUX], model(images[:N_MUX]))


@pytest.mark.parametrize("binding", sorted(BINDINGS.keys() - {"identity"}))
def test_places_are_not_alike(binding):
    model, images = make(binding=binding), images_for(N_MUX)
    assert (model(images.flip(0)).flip(0) - model(images)).abs().max() > 1e-3


@every_binding
@every_n_mux
def test_fewer_images_are_mixed_as_if_repeated_over_the_slots(binding, n_mux):
    model, images = make(binding=binding), images_for(n_mux)
    slots = torch.arange(N_MUX) % n_mux
    repeated = images.unflatten(0, (2, n_mux))[:, slots].flatten(0, 1)
    assert_near(model.mix(images, n_mux, 0), model.mix(repeated, N_MUX, 0))


def test_one_slot_and_the_identity_are_a_plain_wide_residual_network():
    model, images = make(1, binding="identity", depth=16, n_stages=3), images_for(5)
    x = model.stem(images, 0).relu()
    for block in model.trunk.blocks:
        y = block.conv1.conv(block.norm1(x, 0).relu())
        y = block.conv2(block.conv1.norm(y, 0).relu())
        x = y + (x if block.skip is None else block.skip.norm(block.skip.conv(x), 0))
    assert len(model.trunk.blocks) == 6
    assert model.unbinding is None
    assert_near(model(images), model.head(x.mean((2, 3))))


def test_one_image_in_subspaces_goes_through_a_plain_stem():
    model, images = make(binding="subspace"), images_for(1)
    assert_near(model.mix(images, 1, 0), model.stem(images, 0).relu())


@pytest.mark.parametrize(
    ("n_stages", "size", "side", "channels"), [(2, 8, 8, 8), (3, 8, 8, 16), (4, 32, 8, 64)]
)
@pytest.mark.parametrize("binding", ["hrr", "subspace"])
def test_the_stem_fits_the_stages(n_stages, size, side, channels, binding):
    model = make(2, n_stages=n_stages, binding=binding)
    images = images_for(2, size=size)
    assert model.mix(images, 2, 0).shape == (2, channels, side, side)
    assert model(images).shape == (4, 3)


@every_n_mux
def test_inference_in_chunks_equals_training(n_mux, monkeypatch):
    model, images = make(), images_for(n_mux, n_mixtures=5)
    trained = model(images, n_mux)
    monkeypatch.setattr(mimoconv, "_CHUNK_ELEMENTS", 2 * n_mux * 8 * 8 * 8)
    sizes = []
    model.binding.register_forward_hook(lambda module, args, output: sizes.append(len(args[0])))
    with torch.no_grad():
        assert_near(model(images, n_mux), trained)
    assert sizes == [2, 2, 1]


@every_binding
def test_the_gradient_reaches_all_parameters(binding):
    model = make(binding=binding, activation="prelu").train()
    model(images_for(N_MUX)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


# What is refused


@pytest.mark.parametrize("n_mux", [0, 5])
def test_other_numbers_of_images_than_there_are_slots_for_are_refused(n_mux):
    with pytest.raises(ValueError, match=rf"n_mux={n_mux} is outside of 1 to 4, the capacity"):
        make()(images_for(20), n_mux)


def test_images_that_fill_no_mixture_are_refused():
    with pytest.raises(ValueError, match=r"7 images cannot be divided .* n_mux=4 images"):
        make()(images_for(7, n_mixtures=1))


@pytest.mark.parametrize("depth", [4, 9, 12, 20])
def test_depths_without_whole_blocks_are_refused(depth):
    with pytest.raises(ValueError, match=rf"depth={depth} is not 6 k \+ 4"):
        make(depth=depth)


def test_a_patch_without_pixels_is_refused():
    with pytest.raises(ValueError, match="patch_size=0 must be 1 or more"):
        make(patch_size=0)


@pytest.mark.parametrize("option", [{"n_stages": 5}, {"binding": "xor"}, {"activation": "tanh"}])
def test_unknown_options_are_refused(option):
    (name,) = option
    with pytest.raises(ValueError, match=rf"{name}=.* is not one of \["):
        make(**option)


@pytest.mark.parametrize("points", [(), (0,), (2, 5), (2, 2)])
def test_operating_points_outside_of_the_capacity_are_refused(points):
    with pytest.raises(ValueError, match=r"different numbers from 1 to 4, the capacity"):
        make(operating_points=points)


# How it starts


def test_dirac_convolutions_are_isometries():
    model = make(dirac_init=True)
    assert isometry_regularizer(model.trunk.convolutions()).item() == 0.0


def test_skip_init_starts_as_the_skips():
    model, images = make(1, binding="identity", skip_init=True), images_for(2)
    x = model.mix(images, 1, 0)
    first, second = model.trunk.blocks
    assert first.skip is None
    assert_near(model.trunk(x, 0), second.skip(x, 0))


def test_convolutions_start_with_the_variance_that_relu_keeps():
    conv = make(width=8).trunk.blocks[-1].conv2
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 128)), rel=0.02)


# Operating points


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
        assert new.num_batches_tracked.tolist() == [0, 1, 0]


def test_prediction_uses_the_operating_points_own_statistics():
    model, images = make(operating_points=(1, 2, 4)), images_for(2)
    before = model(images, 2)
    with torch.no_grad():
        model.trunk.blocks[0].norm1.running_mean[[0, 2]] += 1
        assert torch.equal(model(images, 2), before)
        model.trunk.blocks[0].norm1.running_mean[1] += 1
        assert not torch.equal(model(images, 2), before)


def test_batch_statistics_are_those_of_torch():
    ours, theirs = OperatingPointNorm(6), nn.BatchNorm2d(6)
    for _ in range(3):
        x = torch.randn(4, 6, 3, 3) * 2 + 1
        assert_near(ours(x, 0), theirs(x))
    assert_near(ours.eval()(x, 0), theirs.eval()(x))


def test_recalibration_makes_eval_mode_agree_with_batch_statistics():
    model, images = make(operating_points=(2, 4)), images_for(4, n_mixtures=16)
    before = statistics(model)
    model.recalibrate([images])
    assert not model.training
    for old, new in zip(before, statistics(model), strict=True):
        assert torch.equal(old.running_mean[0], new.running_mean[0])
        assert new.momentum == 0.1
    # The running variance is the unbiased one.
    torch.testing.assert_close(model(images), model.train()(images), atol=0.05, rtol=0.05)


def test_recalibration_weighs_all_batches_alike():
    model = make(binding="hrr")
    images = images_for(4, n_mixtures=9)
    model.recalibrate(images.split(12))
    activations = model.stem.conv(images)
    assert_near(model.stem.norm.running_mean[0], activations.mean((0, 2, 3)))


def test_recalibration_forgets_what_was_estimated_before():
    model, images = make(), images_for(4, n_mixtures=4)
    other = copy.deepcopy(model)
    for norm in (m for m in other.modules() if isinstance(m, OperatingPointNorm)):
        norm.running_mean.fill_(100)
        norm.num_batches_tracked.fill_(50)
    for each in (model, other):
        each.recalibrate(images.split(8))
    for one, two in zip(statistics(model), statistics(other), strict=True):
        assert torch.equal(one.running_mean, two.running_mean)
        assert torch.equal(one.running_var, two.running_var)


@pytest.mark.parametrize("training", [True, False])
def test_recalibration_leaves_the_mode(training):
    model = make().train(training)
    model.recalibrate([images_for(4)])
    assert {module.training for module in model.modules()} == {training}


def test_recalibration_takes_a_batch_whole(monkeypatch):
    model, images = make(), images_for(4, n_mixtures=3)
    monkeypatch.setattr(mimoconv, "_CHUNK_ELEMENTS", 1)
    model.recalibrate([images])
    assert {norm.num_batches_tracked.item() for norm in statistics(model)} == {1}


def test_recalibration_needs_an_operating_point():
    with pytest.raises(ValueError, match=r"n_mux=3 has no statistics .* \(2, 4\)"):
        make(operating_points=(2, 4)).recalibrate([images_for(3)], 3)


def test_recalibration_without_batches_leaves_the_statistics():
    model = make()
    before = statistics(model)
    with pytest.raises(ValueError, match="batches is empty"):
        model.recalibrate([])
    for old, new in zip(before, statistics(model), strict=True):
        assert torch.equal(old.running_var, new.running_var)


def test_a_failed_recalibration_leaves_the_mode():
    model = make()
    with pytest.raises(ValueError, match="cannot be divided"):
        model.recalibrate([images_for(3)])
    assert not model.training
    assert {norm.momentum for norm in statistics(model)} == {0.1}


# Inference


@every_binding
@every_n_mux
def test_inference_gives_the_same(binding, n_mux):
    model, images = make(binding=binding, operating_points=(1, 4)), images_for(n_mux)
    assert_near(model.for_inference()(images, n_mux), model(images, n_mux))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("options", [{"batch_norm": False}, {"skip_init": True}, {"n_stages": 4}])
def test_inference_gives_the_same_with_all_kinds_of_blocks(activation, options):
    model, images = make(activation=activation, **options), images_for(N_MUX, size=16)
    with torch.no_grad():
        for block in model.trunk.blocks:
            if block.scale is not None:
                block.scale.fill_(0.7)
    assert_near(model.for_inference()(images), model(images))


def test_inference_needs_no_statistics_behind_convolutions():
    folded = make().for_inference()
    norms = [name for name, m in folded.named_modules() if isinstance(m, OperatingPointNorm)]
    assert norms == ["trunk.blocks.0.norm1", "trunk.blocks.1.norm1"]


def test_inference_shares_no_memory():
    model = make(operating_points=(1, 4))
    own = {t.data_ptr() for t in model.state_dict().values()}
    assert own.isdisjoint(t.data_ptr() for t in model.for_inference().state_dict().values())


def test_inference_has_no_gradient():
    folded = make(binding="mbat", operating_points=(1, 4)).for_inference()
    assert not any(p.requires_grad for p in folded.parameters())


def test_preparing_twice_changes_nothing():
    model, images = make().for_inference(), images_for(N_MUX)
    assert_near(model.for_inference()(images), model(images))


def test_inference_in_half_precision():
    model, images = make(), images_for(N_MUX)
    logits = model.for_inference(torch.bfloat16)(images.bfloat16())
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), model(images), atol=0.1, rtol=0.1)


def test_what_is_prepared_for_inference_cannot_be_recalibrated():
    with pytest.raises(RuntimeError, match="cannot be recalibrated"):
        make().for_inference().recalibrate([images_for(N_MUX)])


# Checkpoints of the reference; their numbers are compared in tests/benchmark


@pytest.fixture(scope="module")
def checkpoint():
    tensors = load_file(CASE.with_suffix(".safetensors"))
    weights = {k.removeprefix("weight."): v for k, v in tensors.items() if k.startswith("weight.")}
    return json.loads(CASE.read_text())["config"], weights


def test_every_operating_point_starts_from_the_only_statistics(checkpoint):
    model = MuxWideResNet.from_state_dict(*checkpoint, operating_points=(1, 2))
    assert not model.training
    for norm in statistics(model):
        assert torch.equal(norm.running_mean[0], norm.running_mean[1])
    assert torch.equal(model.stem.norm.running_var[1], checkpoint[1]["bn1.running_var"])


def test_a_checkpoint_of_double_precision_stays_so(checkpoint):
    config, weights = checkpoint
    weights = {k: v.double() if v.is_floating_point() else v for k, v in weights.items()}
    model = MuxWideResNet.from_state_dict(config, weights)
    assert {p.dtype for p in model.parameters()} == {torch.float64}


@pytest.mark.parametrize("name", ["shift", "weight", "srelu_bias"])
@pytest.mark.parametrize("shape", [(-1,), (1, -1, 1, 1)])
def test_an_activations_tensor_is_found_whatever_its_name_and_shape(checkpoint, name, shape):
    config, weights = checkpoint
    weights = {
        k.replace("relu1.weight", f"relu1.{name}"): v.view(shape) if "relu1" in k else v
        for k, v in weights.items()
    }
    model = MuxWideResNet.from_state_dict({**config, "architecture": "WideISONet-10"}, weights)
    act = model.trunk.blocks[1].act1
    assert isinstance(act, ShiftedReLU)
    assert torch.equal(act.bound, weights[f"layer2.0.relu1.{name}"].flatten())


def test_missing_extra_and_misshaped_tensors_are_one_error(checkpoint):
    config, weights = checkpoint
    weights = {**weights, "fc.scale": torch.zeros(3), "bn1.bias": torch.zeros(31)}
    del weights["layer2.0.relu2.weight"], weights["layer1.0.downsample.0.weight"]
    with pytest.raises(ValueError, match="do not fit") as error:
        MuxWideResNet.from_state_dict(config, weights)
    assert set(str(error.value).splitlines()[1:]) == {
        "  missing: layer2.0.relu2.*",
        "  missing: layer1.0.downsample.0.weight",
        "  mis-shaped: bn1.bias is (31,), which does not hold our (32,)",
        "  unexpected: fc.scale",
    }


def test_other_checkpoints_are_refused(checkpoint):
    config, weights = checkpoint
    for bad in (({}, weights), ({**config, "architecture": "ResNet-50"}, weights), (config, {})):
        with pytest.raises(ValueError, match="not a MIMOConv checkpoint: architecture="):
            MuxWideResNet.from_state_dict(*bad)


# The recipe


def test_activations_do_not_decay():
    model = make(activation="prelu")
    decayed, kept = parameter_groups(model, 0.3)
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.3, 0.0)
    assert [len(p) for p in kept["params"]] == [8, 8, 8, 16]
    assert len(decayed["params"]) + len(kept["params"]) == len(list(model.parameters()))


def test_training_lowers_the_loss():
    model = make(2, activation="prelu").train()
    images, labels = images_for(2, n_mixtures=4), torch.arange(8) % 3
    optimizer, scheduler = one_cycle_sgd(model, 30, lr=0.05)
    losses = []
    for _ in range(29):
        losses.append(backward(model, images, labels, 2, torch.arange(8), 1.0).task_loss)
        optimizer.step()
        scheduler.step()
    assert losses[-1] < 0.5 * losses[0]


def test_gradients_are_clipped():
    model = make().train()
    images, labels = images_for(N_MUX), torch.zeros(8, dtype=torch.long)
    step = backward(model, images, labels, N_MUX, torch.arange(8), 1.0, max_norm=1e-3)
    norms = torch.stack([p.grad.norm() for p in model.parameters()])
    assert step.norm > 1e-3
    assert norms.norm().item() == pytest.approx(1e-3, rel=1e-3)


# Subnetworks


@pytest.mark.parametrize("n_places", [2, 4])
def test_images_in_subspaces_do_not_interfere_before_the_training(n_places):
    model = MuxWideResNet(3, 4, depth=10, width=1, initial_width=1, binding="subspace").eval()
    images = images_for(n_places, n_mixtures=1)
    others = images_for(n_places, n_mixtures=1)
    others[0] = images[0]
    assert_near(model(others, n_places)[0], model(images, n_places)[0])
    assert not torch.allclose(model(others, n_places)[1], model(images, n_places)[1], atol=1e-3)


def test_an_image_learns_what_the_channels_of_other_slots_tell():
    model = MuxWideResNet(3, 2, depth=10, width=1, initial_width=1, binding="subspace")
    model(images_for(2)).square().sum().backward()
    for conv in model.trunk.convolutions():
        closed = conv.weight == 0
        assert closed.float().mean() == 0.5
        assert conv.weight.grad[closed].abs().mean() > 0


def test_more_slots_than_channels_of_a_stage_share_the_trunk_from_the_start():
    model = MuxWideResNet(3, 17, depth=10, width=1, initial_width=2, binding="subspace", n_stages=3)
    assert all((conv.weight != 0).all() for conv in model.trunk.convolutions())
