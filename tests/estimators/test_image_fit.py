import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits
from skorch.callbacks import Callback
from torch.utils.data import TensorDataset
from torchvision.transforms import v2

from muxlearn import MuxImageClassifier
from muxlearn.architectures import CNN, MLP, MIMOConv, Trunk
from muxlearn.nn.wideresnet import OperatingPointNorm
from muxlearn.training import Optimizer
from muxlearn.training.data import BatchTargets
from tests.persistence.folders import edit_config

X, Y = load_digits(return_X_y=True)
IMAGES = X.reshape(-1, 8, 8)[:96]
LABELS = Y[:96]


def tiny(**params):
    network = MIMOConv(width=1, initial_width=1)
    defaults = {"architecture": network, "batch_size": 16, "max_epochs": 2, "random_state": 0}
    return MuxImageClassifier(2, **defaults).set_params(**params)


def weights(clf):
    return {name: tensor.clone() for name, tensor in clf.module_.state_dict().items()}


def same_weights(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def losses(clf):
    return clf.history_[:, "train_loss"]


# Labels and weights


def test_a_dataset_brings_its_labels():
    dataset = TensorDataset(torch.from_numpy(IMAGES), torch.from_numpy(LABELS))
    assert same_weights(weights(tiny().fit(dataset)), weights(tiny().fit(IMAGES, LABELS)))
    swapped = tiny().fit(dataset, LABELS + 10)
    assert swapped.classes_.tolist() == list(range(10, 20))
    assert swapped.score(dataset) == 0
    assert swapped.score(dataset, LABELS + 10) == swapped.score(IMAGES, LABELS + 10) > 0


def test_labels_may_not_be_missing():
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        tiny().fit(IMAGES)
    with pytest.raises(ValueError, match="`X` has 96 rows and `y` has 95"):
        tiny().fit(IMAGES, LABELS[:-1])
    with pytest.raises(ValueError, match="give one target for each image, or a dataset"):
        tiny().fit(IMAGES, LABELS).score(IMAGES)
    with pytest.raises(ValueError, match="row 3 of `y` is infinite"):
        tiny().fit(IMAGES, [0.0, 1.0, 0.0, np.inf] * 24)


def test_images_of_weight_zero_teach_nothing():
    halves = np.where(LABELS < 5, "low", "high")
    clf = tiny(max_epochs=6).fit(IMAGES, halves, sample_weight=halves == "low")
    assert set(clf.predict(IMAGES)) == {"low"}


def test_class_weight_shifts_the_probabilities():
    rare = np.where(LABELS == 0, "zero", "other")
    means = [
        tiny(class_weight=weight, max_epochs=1).fit(IMAGES, rare).predict_proba(IMAGES)[:, 1].mean()
        for weight in (None, {"zero": 50.0, "other": 0.1})
    ]
    assert means[1] > means[0] + 0.2


@pytest.mark.parametrize("n_rows", [1, 2, 7])
def test_fewer_images_than_n_mux_are_enough(n_rows):
    clf = tiny().set_params(n_mux=4).fit(IMAGES[:n_rows], LABELS[:n_rows])
    assert clf.predict_proba(IMAGES[:3]).shape == (3, n_rows)


def test_a_batch_of_one_pixel_is_refused():
    with pytest.raises(ValueError, match=r"one sample in a batch, and images of \(1, 2\) pixels"):
        tiny().fit(np.ones((1, 2)), [0])


# What training does


def test_the_seed_decides_all():
    same = [weights(tiny(augment="crop", mixup=1.0).fit(IMAGES, LABELS)) for _ in range(2)]
    assert same_weights(*same)
    other = weights(tiny(augment="crop", mixup=1.0, random_state=1).fit(IMAGES, LABELS))
    assert not same_weights(same[0], other)


def test_fit_leaves_the_global_seed_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    tiny(augment="crop", mixup=1.0).fit(IMAGES, LABELS)
    assert torch.rand(1) == expected


def test_max_epochs_0_builds_without_training():
    clf = tiny(max_epochs=0).fit(IMAGES, LABELS)
    assert clf.n_iter_ == 0
    assert clf.predict(IMAGES).shape == (96,)


@pytest.mark.parametrize("params", [{}, {"lr": 0.05}, {"multiplexer": "hrr"}, {"mixup": 1.0}])
def test_training_is_stable_from_the_first_try(params):
    clf = tiny(max_epochs=8, **params).fit(IMAGES, LABELS)
    assert np.isfinite(losses(clf)).all()
    assert losses(clf)[-1] < losses(clf)[0]


def test_warm_start_goes_on():
    clf = tiny(warm_start=True).fit(IMAGES, LABELS)
    mean, before = clf.mean_, losses(clf)
    clf.fit(IMAGES + 1, LABELS)
    assert clf.n_iter_ == 4
    assert losses(clf)[:2] == before
    assert_array_equal(clf.mean_, mean)
    with pytest.raises(
        ValueError, match="goes on with architecture__width=1, but `architecture__width` is 2"
    ):
        clf.set_params(architecture__width=2).fit(IMAGES, LABELS)


@pytest.mark.parametrize(
    "params", [{"image_size": 9}, {"image_shape": (8, 8)}, {"channels": "last"}]
)
def test_warm_start_refuses_images_read_in_another_way(params, tmp_path):
    clf = tiny(warm_start=True, max_epochs=0, image_size=8).fit(IMAGES, LABELS)
    clf.save(tmp_path)
    (name,) = params
    for model in (clf, MuxImageClassifier.load(tmp_path)):
        assert model.fit(IMAGES, LABELS).image_shape_ == (1, 8, 8)
        with pytest.raises(ValueError, match=f"goes on with {name}=.*, but `{name}` is"):
            model.set_params(**params).fit(IMAGES, LABELS)


def test_a_folder_that_knows_the_size_of_images_by_a_parameter_alone_goes_on(tmp_path):
    tiny(warm_start=True, max_epochs=1, image_size=8).fit(IMAGES, LABELS).save(tmp_path)

    def forget(config):
        for name in ("image_shape", "image_size", "channels"):
            del config["structure"][name]

    edit_config(tmp_path, forget)
    assert MuxImageClassifier.load(tmp_path).fit(IMAGES, LABELS).n_iter_ == 2


def test_early_stopping_keeps_the_best_weights():
    clf = tiny(max_epochs=30, lr=0.05, early_stopping=2)
    clf.fit(IMAGES, LABELS)
    valid = clf.history_[:, "valid_loss"]
    assert clf.n_iter_ < 30
    assert np.argmin(valid) == len(valid) - 3


def test_every_operating_point_is_trained():
    seen = []

    class Watch(Callback):
        def on_batch_end(self, net, batch=None, training=None, **kwargs):
            seen.append(batch[0]["images"].shape[1])

    clf = tiny(operating_points=(1, 2), callbacks=[Watch()])
    # A copy is used, which shares the list that is closed over.
    clf.fit(IMAGES, LABELS)
    assert sorted(seen) == [1] * 6 + [2] * 6


def test_operating_points_take_their_shares_of_the_steps(tmp_path):
    seen = []

    class Watch(Callback):
        def on_batch_end(self, net, batch=None, training=None, **kwargs):
            seen.append(batch[0]["images"].shape[1])

    clf = tiny(operating_points={1: 1, 2: 2}, callbacks=[Watch()]).fit(IMAGES, LABELS)
    assert sorted(seen) == [1] * 4 + [2] * 8
    clf.save(tmp_path)
    assert MuxImageClassifier.load(tmp_path).operating_points == {1: 1, 2: 2}


@pytest.mark.slow
@pytest.mark.parametrize("augment", ["crop-flip", v2.RandomRotation(10)], ids=str)
def test_worker_processes_give_the_same_model(augment):
    alone, workers = (
        tiny(augment=augment, n_workers=n, mixup=1.0).fit(IMAGES, LABELS) for n in (0, 2)
    )
    assert same_weights(weights(alone), weights(workers))


def test_statistics_are_kept_for_the_halves_of_n_mux_too():
    clf = tiny().set_params(n_mux=4).fit(IMAGES, LABELS)
    assert clf.module_.operating_points == (4, 2, 1)
    norms = [m for m in clf.module_.modules() if isinstance(m, OperatingPointNorm)]
    assert all((norm.num_batches_tracked > 0).all() for norm in norms)
    assert not torch.equal(*norms[-1].running_var[:2])


@pytest.mark.slow
def test_predictions_alone_are_right_without_training_for_them():
    clf = tiny(max_epochs=25, multiplexer="hrr").fit(IMAGES, LABELS)
    assert clf.score(IMAGES, LABELS, n_mux=1) > 0.9


def test_an_interrupted_fit_keeps_what_was_learned():
    class Stop(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise KeyboardInterrupt

    clf = tiny(max_epochs=50, callbacks=[Stop()]).fit(IMAGES, LABELS)
    assert clf.n_iter_ < 50
    assert clf.predict(IMAGES).shape == (96,)


def test_a_failed_fit_leaves_the_former_one():
    clf = tiny().fit(IMAGES, LABELS)
    expected = clf.predict_proba(IMAGES)

    class Fail(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        clf.set_params(callbacks=[Fail()]).fit(IMAGES * 2, LABELS)
    assert_array_equal(clf.set_params(callbacks=None).predict_proba(IMAGES), expected)


# Variants of images


@pytest.mark.parametrize("augment", ["crop", "crop-flip", v2.RandomRotation(10)], ids=str)
def test_variants_are_for_training_only(augment):
    clf = tiny(augment=augment).fit(IMAGES, LABELS)
    assert losses(clf) != losses(tiny().fit(IMAGES, LABELS))
    assert_array_equal(clf.predict_proba(IMAGES), clf.predict_proba(IMAGES))


def test_a_row_of_pixels_can_be_cropped():
    clf = tiny(augment="crop-flip").fit(IMAGES.reshape(96, 64)[:, :20], LABELS)
    assert clf.image_shape_ == (1, 1, 20)


@pytest.mark.parametrize("params", [{"lr": 1e30}, {"augment": lambda image: image * torch.nan}])
def test_a_training_that_diverges_leaves_nothing_fitted(params):
    clf = tiny(**params)
    with pytest.raises(ValueError, match="has diverged, and its weights are NaN or infinite"):
        clf.fit(IMAGES, LABELS)
    assert not hasattr(clf, "net_")


def test_bytes_reach_a_transform_as_bytes():
    kinds = set()
    augment = lambda image: kinds.add(image.dtype) or image  # noqa: E731
    tiny(augment=augment).fit(IMAGES.astype(np.uint8), LABELS)
    assert kinds == {torch.uint8}


# The loss


def net_of(clf, mixup=0.0, **weights):
    weights = {f"architecture__{name}": weight for name, weight in weights.items()}
    clf = tiny(max_epochs=0, mixup=mixup, **clf, **weights).fit(IMAGES, LABELS)
    net = clf.net_
    net.module_.train()
    net.history.new_epoch()
    net.history.new_batch()
    return net


def step(net, n_mixtures=3):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(n_mixtures, 2, 1, 8, 8, generator=generator)
    labels = torch.randint(10, (2 * n_mixtures,), generator=generator)
    y = BatchTargets.weighted(labels, torch.ones(2 * n_mixtures))
    y_pred = net.infer({"images": images})
    return images, y, y_pred, net.get_loss(y_pred, y, training=True)


def test_mixup_blends_images_and_losses():
    net = net_of({}, mixup=1.0)
    images, y, y_pred, loss = step(net)
    labels, _ = y.parts()
    logits, partner, share = y_pred
    assert 0 < share < 1
    assert sorted(partner.tolist()) == list(range(6))
    images = images.flatten(0, 1)
    net.module_.train()
    expected = net.module_(share * images + (1 - share) * images[partner], 2)
    torch.testing.assert_close(logits, expected)
    both = [torch.nn.functional.cross_entropy(logits, y) for y in (labels, labels[partner])]
    torch.testing.assert_close(loss, share * both[0] + (1 - share) * both[1])


def test_mixup_is_for_training_only():
    net = net_of({}, mixup=1.0)
    net.module_.eval()
    assert isinstance(net.infer({"images": torch.zeros(1, 2, 1, 8, 8)}), torch.Tensor)


@pytest.mark.parametrize("name", ["isometry_weight", "binding_weight"])
def test_a_regulariser_adds_to_the_loss_of_training(name):
    plain, regular = (net_of({"multiplexer": "hrr"}, **{name: w}) for w in (0.0, 0.5))
    _, y, y_pred, loss = step(regular)
    assert loss > step(plain)[-1]
    assert regular.get_loss(y_pred, y, training=False) < loss


def test_keys_and_norms_do_not_decay():
    clf = tiny(multiplexer="hrr", max_epochs=1, optimizer=Optimizer(weight_decay=0.3)).fit(
        IMAGES, LABELS
    )
    decay = {
        id(parameter): group["weight_decay"]
        for group in clf.net_.optimizer_.param_groups
        for parameter in group["params"]
    }
    for name, parameter in clf.module_.named_parameters():
        matrix = parameter.ndim > 1 and name != "binding.keys"
        assert decay[id(parameter)] == (0.3 if matrix else 0.0), name


# Parameters


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"n_mux": 0}, ValueError, "`n_mux`"),
        ({"n_mux": 17}, ValueError, "hold at most 16 slots.* raise `initial_width`, which is 1"),
        ({"architecture": "mimocov"}, ValueError, "did you mean 'mimoconv'"),
        ({"architecture": "resnet17"}, ValueError, "did you mean 'resnet1"),
        ({"architecture": 3}, TypeError, "`architecture`"),
        ({"multiplexer": "hr"}, ValueError, "did you mean 'hrr'.*architecture='mimoconv'"),
        ({"multiplexer": "orthogonal"}, ValueError, "for architecture='mimoconv'"),
        ({"multiplexer": "hrr", "architecture": "mlp"}, ValueError, "for architecture='mlp'"),
        ({"architecture__depth": 12}, ValueError, "`depth` must be 6 k"),
        ({"architecture__depth": 4}, ValueError, "`depth` must be 6 k"),
        ({"architecture__width": 0}, ValueError, "`width`"),
        ({"architecture__initial_width": 1.5}, TypeError, "`initial_width`"),
        ({"architecture__patch_size": 0}, ValueError, "`patch_size`"),
        ({"architecture__patch_size": 3}, ValueError, "`patch_size` must divide .* are 8 and 8"),
        ({"architecture__activation": "prelo"}, ValueError, "did you mean 'prelu'"),
        ({"architecture": Trunk("resnet17")}, ValueError, "did you mean 'resnet1"),
        ({"architecture": Trunk(weights=3)}, TypeError, "`weights`"),
        ({"channels": "frist"}, ValueError, "did you mean 'first'"),
        ({"image_shape": 8}, ValueError, "`image_shape` must be two or three"),
        ({"image_shape": (8,)}, ValueError, "`image_shape` must be two or three"),
        ({"image_size": (8, 0)}, ValueError, "`image_size` must be one or two whole"),
        ({"image_size": (8,)}, ValueError, "`image_size` must be one or two whole"),
        ({"image_size": 8.0}, TypeError, "`image_size` must be one or two whole"),
        ({"augment": "flip"}, ValueError, "`augment` .*torchvision.transforms.v2"),
        ({"augment": None}, TypeError, "`augment`"),
        ({"mixup": -1}, ValueError, "`mixup`"),
        ({"architecture__isometry_weight": -1}, ValueError, "`isometry_weight`"),
        ({"architecture__binding_weight": "x"}, TypeError, "`binding_weight`"),
        ({"operating_points": {1: 0}}, ValueError, r"a dict from them to their shares .*\{1: 0\}"),
        ({"n_workers": -1}, ValueError, "`n_workers`"),
        ({"operating_points": (1, 3)}, ValueError, "holds 3, which is above n_mux=2"),
        ({"dtype": "float"}, ValueError, "`dtype`"),
        ({"lr": 0}, ValueError, "`lr`"),
    ],
    ids=str,
)
def test_a_bad_parameter_is_named_and_leaves_nothing_fitted(params, error, message):
    clf = tiny().set_params(**params)
    before = copy.copy(set(vars(clf)))
    with pytest.raises(error, match=message):
        clf.fit(IMAGES, LABELS)
    assert set(vars(clf)) == before


@pytest.mark.parametrize("learn_keys", [False, True])
@pytest.mark.parametrize("multiplexer", ["gaussian_convolution", "orthogonal", "graded"])
def test_keys_that_the_vision_study_fixes_stay_as_drawn(multiplexer, learn_keys):
    rng = np.random.default_rng(0)
    X, y = rng.random((16, 8, 8)), np.arange(16) % 2
    clf = MuxImageClassifier(
        n_mux=2,
        architecture=CNN(learn_keys=True) if learn_keys else "cnn",
        multiplexer=multiplexer,
        batch_size=4,
        max_epochs=0,
        random_state=0,
    )
    drawn = clf.fit(X, y).module_.multiplexer.keys.clone()
    trained = clf.set_params(max_epochs=2).fit(X, y).module_.multiplexer.keys
    assert torch.equal(trained, drawn) is not learn_keys


@pytest.mark.parametrize(
    ("architecture", "multiplexer", "name"),
    [
        *(
            (MIMOConv(binding_weight=0.7), m, "binding_weight")
            for m in ("auto", "mbat", "identity")
        ),
        *((CNN(learn_keys=True), m, "learn_keys") for m in ("auto", "linear", "rotation", "remap")),
        (MLP(learn_keys=True), "nonlinear", "learn_keys"),
    ],
    ids=str,
)
def test_what_a_multiplexer_has_no_use_for_is_refused_but_for_one_image(
    architecture, multiplexer, name
):
    params = {"architecture": architecture, "multiplexer": multiplexer, "max_epochs": 0}
    with pytest.raises(ValueError, match=f"`{name}` is .*, but has no effect with multiplexer="):
        MuxImageClassifier(n_mux=2, **params).fit(IMAGES, LABELS)
    MuxImageClassifier(n_mux=1, **params).fit(IMAGES, LABELS)
