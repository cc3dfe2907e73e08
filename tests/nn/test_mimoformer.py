import copy
import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from muxlearn.nn.favor import GridAttention
from muxlearn.nn.mimoformer import MIMOFormer
from muxlearn.nn.mimoformer_layers import SoftmaxAttention, sinusoidal_positions

VOCAB, CLASSES, LENGTH = 12, 3, 9
CASE = Path(__file__).parents[1] / "data" / "mimoformer_attmlp_m2n2_tied.json"
TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "head_dim": 8,
    "intermediate_size": 16,
    "n_features": 16,
    "max_length": LENGTH,
    "dropout": 0.0,
}
KINDS = {
    "att": {"grid": (2, 2)},
    "att+mlp": {"grid": (2, 2), "variant": "att+mlp"},
    "performer": {},
    "softmax": {"attention": "softmax"},
}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_variant = pytest.mark.parametrize("variant", ["att", "att+mlp"])
every_pooling = pytest.mark.parametrize("pooling", ["mean", "cls"])


def make(kind="att", **options):
    """A small network whose vectors are not as even as they start."""
    model = MIMOFormer(VOCAB, CLASSES, **(TINY | KINDS[kind] | options)).eval()
    nn.init.normal_(model.embedding.weight)
    for layer in model.layers:
        nn.init.normal_(layer.attention_norm.bias, std=0.3)
    return model


def rows_for(n_rows, length=LENGTH, n_texts=1):
    """Tokens and a mask of rows of different lengths, the first of them full."""
    shape = (n_rows, length) if n_texts == 1 else (n_rows, n_texts, length)
    lengths = torch.randint(1, length + 1, shape[:-1])
    lengths[0] = length
    return torch.randint(VOCAB - 1, shape), (torch.arange(length) < lengths[..., None]).long()


def assert_near(actual, expected, atol=2e-5):
    torch.testing.assert_close(actual, expected, atol=atol, rtol=1e-4)


# Forward


@every_kind
@every_pooling
@pytest.mark.parametrize("n_texts", [1, 2])
def test_every_row_gets_logits(kind, pooling, n_texts):
    model = make(kind, pooling=pooling, n_texts=n_texts)
    logits = model(*rows_for(8, n_texts=n_texts))
    assert logits.shape == (8, CLASSES)
    assert logits.isfinite().all()


def test_no_mask_is_no_padding():
    ids, _ = rows_for(4)
    model = make()
    assert_near(model(ids), model(ids, torch.ones_like(ids)))


@every_pooling
def test_masks_may_be_of_any_type(pooling):
    model, (ids, mask) = make(pooling=pooling), rows_for(4)
    for other in (mask.bool(), mask.float()):
        assert torch.equal(model(ids, other), model(ids, mask))


@every_kind
def test_mixtures_do_not_see_each_other(kind):
    model, (ids, mask) = make(kind), rows_for(8)
    assert_near(model(ids, mask)[:4], model(ids[:4], mask[:4]))


@every_variant
def test_places_are_not_alike(variant):
    model, (ids, mask) = make(variant), rows_for(4)
    model.head[2].weight.data.mul_(10)
    assert (model(ids.flip(0), mask.flip(0)).flip(0) - model(ids, mask)).abs().max() > 1e-3


@every_kind
def test_dropout_is_for_training(kind):
    model, (ids, mask) = make(kind, dropout=0.5), rows_for(4)
    assert torch.equal(model(ids, mask), model(ids, mask))
    model.train()
    assert not torch.equal(model(ids, mask), model(ids, mask))


def test_pairs_are_compared_by_products_and_differences():
    model, (ids, mask) = make(n_texts=2), rows_for(4, n_texts=2)
    first, second = (model._pool(*model.encode(ids[:, i], mask[:, i])) for i in range(2))
    expected = model.head(torch.cat([first, second, first * second, first - second], 1))
    assert_near(model(ids, mask), expected)


def test_the_mark_is_the_last_word():
    model, (ids, mask) = make("performer", pooling="cls"), rows_for(3)
    hidden, longer = model.encode(ids, mask)
    assert hidden.shape[1] == LENGTH + 1
    assert longer[:, 0].tolist() == [1, 1, 1]
    before = model(ids, mask)
    with torch.no_grad():
        model.embedding.weight[VOCAB - 1] *= -1
    assert (model(ids, mask) - before).abs().max() > 1e-4


def test_tied_layers_are_one():
    model = make(tied_layers=True, num_hidden_layers=3)
    ids, mask = rows_for(4)
    repeated = make(num_hidden_layers=3)
    for name, module in model.named_children():
        setattr(repeated, name, module)
    repeated.position_table = model.position_table
    repeated.layers = nn.ModuleList(copy.deepcopy(model.layers[0]) for _ in range(3))
    assert len(model.layers) == 1
    assert_near(repeated(ids, mask), model(ids, mask))


def test_sinusoidal_positions_take_turns():
    table = sinusoidal_positions(5, 4)
    angles = [3, 3 / 100]
    expected = [f(a) for a in angles for f in (math.sin, math.cos)]
    assert_near(table[3], torch.tensor(expected))
    model = make(positions="sinusoidal")
    assert_near(model.position_table[:5, :2], sinusoidal_positions(5, 16)[:, :2])
    assert "position_table" not in dict(model.named_parameters())


# The twins


def test_softmax_attention_is_that_of_transformers():
    attention, x = SoftmaxAttention(16, 2, 8), torch.randn(3, LENGTH, 16)
    mask = rows_for(3)[1].float()
    query, key, value = (
        layer(x).unflatten(2, (2, 8)) for layer in (attention.query, attention.key, attention.value)
    )
    scores = torch.einsum("bqhd,bkhd->bhqk", query, key) / math.sqrt(8)
    weights = scores.masked_fill(mask[:, None, None] == 0, -math.inf).softmax(3)
    answer = torch.einsum("bhqk,bkhd->bqhd", weights, value).flatten(2)
    assert_near(attention(x, mask), attention.out(answer))


def test_twins_have_the_same_parameters():
    shapes = {kind: {n: p.shape for n, p in make(kind).named_parameters()} for kind in KINDS}
    assert all(shape == shapes["att"] for shape in shapes.values())


def test_rows_of_a_performer_do_not_see_each_other():
    model, (ids, mask) = make("performer"), rows_for(4)
    assert_near(model(ids, mask)[2:3], model(ids[2:3], mask[2:3]))


def test_rows_of_a_mixture_see_each_other():
    model, (ids, mask) = make("att"), rows_for(4)
    other = ids.clone()
    other[3] = rows_for(1)[0]
    assert (model(other, mask)[0] - model(ids, mask)[0]).abs().max() > 1e-5


# Padding


@every_kind
@every_pooling
def test_padding_further_changes_nothing(kind, pooling):
    model, (ids, mask) = make(kind, pooling=pooling), rows_for(4, LENGTH - 3)
    longer = torch.cat([ids, rows_for(4, 3)[0]], 1)
    assert_near(model(longer, F.pad(mask, (0, 3))), model(ids, mask))


@every_kind
def test_words_at_padding_do_not_matter(kind):
    model, (ids, mask) = make(kind), rows_for(4)
    mask[1, 4:] = 0
    other = ids.clone()
    other[1, 4:] = (ids[1, 4:] + 1) % VOCAB
    assert_near(model(other, mask), model(ids, mask))


@every_variant
def test_words_at_padding_matter_to_the_reference(variant):
    model, (ids, mask) = make(variant, reference_padding=True), rows_for(4)
    mask[1, 4:], mask[3] = 0, 1
    other = ids.clone()
    other[1, 4:] = (ids[1, 4:] + 1) % VOCAB
    others = [0, 2, 3]
    assert (model(other, mask) - model(ids, mask))[others].abs().max() > 1e-5


@every_kind
def test_rows_without_words_leave_numbers(kind):
    model, (ids, mask) = make(kind), rows_for(4)
    mask[2:] = 0
    assert model(ids, mask).isfinite().all()


# Operating points


@pytest.mark.parametrize(
    ("grid", "points", "half"),
    [
        ((1, 1), (1,), 1),
        ((2, 2), (1, 2, 4), 1),
        ((4, 4), (1, 2, 4, 8, 16), 4),
        ((2, 3), (1, 2, 3, 6), 1),
        ((1, 4), (1, 2, 4), 2),
    ],
)
def test_operating_points_divide_the_grid(grid, points, half):
    model = make(grid=grid, num_hidden_layers=1)
    assert model.operating_points == points
    assert model.n_mux == math.prod(grid)
    assert model.warm_up_n_mux == half


@pytest.mark.parametrize(
    ("grid", "n_mux", "part"),
    [((4, 4), 4, (2, 2)), ((4, 4), 2, (2, 1)), ((2, 4), 2, (1, 2)), ((4, 2), 4, (4, 1))],
)
def test_a_part_of_the_grid_has_its_shape(grid, n_mux, part):
    assert make(grid=grid, num_hidden_layers=1).grid_at(n_mux) == part


@every_variant
def test_fewer_rows_use_the_first_keys(variant):
    large, small = make(variant, grid=(4, 2)), make(variant, grid=(2, 1))
    tensors = large.state_dict()
    for name, tensor in tensors.items():
        if name.endswith("keys"):
            tensors[name] = tensor[:2, :1]
    small.load_state_dict(tensors)
    ids, mask = rows_for(6)
    assert large.grid_at(2) == (2, 1)
    assert_near(large(ids, mask, 2), small(ids, mask))


# What is refused


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"variant": "mlp"}, r"variant='mlp' is not one of \('att', 'att\+mlp'\)"),
        ({"attention": "linear"}, "attention='linear' is not one of"),
        ({"kernel": "gelu"}, "kernel='gelu' is not one of"),
        ({"positions": "none"}, "positions='none' is not one of"),
        ({"pooling": "max"}, "pooling='max' is not one of"),
        ({"n_texts": 3}, r"n_texts=3 is not one of \(1, 2\)"),
        ({"grid": (2, 0)}, r"grid=\(2, 0\) must be two numbers of at least 1"),
        ({"grid": (2, 2, 2)}, "must be two numbers"),
        ({"attention": "softmax", "grid": (2, 2)}, "softmax attention cannot run in superposition"),
        ({"positions": "sinusoidal", "hidden_size": 15}, "need an even hidden_size, not 15"),
    ],
)
def test_options_that_are_not_allowed(option, message):
    with pytest.raises(ValueError, match=message):
        MIMOFormer(VOCAB, CLASSES, **(TINY | option))


@pytest.mark.parametrize(
    ("n_rows", "n_mux", "message"),
    [
        (20, 5, "n_mux=5 is outside of 1 to 4, the capacity"),
        (6, 4, "6 rows cannot be divided into mixtures of n_mux=4 rows"),
        (6, 3, r"n_mux=3 rows do not fill a part .* \(2, 2\); allowed are \(1, 2, 4\)"),
    ],
)
def test_rows_that_do_not_fit_the_grid(n_rows, n_mux, message):
    with pytest.raises(ValueError, match=message):
        make()(*rows_for(n_rows), n_mux)


def test_texts_that_are_too_long():
    with pytest.raises(ValueError, match=r"10 tokens are more than max_length=9"):
        make()(rows_for(4, 10)[0])


@pytest.mark.parametrize(("n_texts", "given"), [(1, 2), (2, 1), (2, 3)])
def test_as_many_texts_as_were_asked_for(n_texts, given):
    with pytest.raises(ValueError, match=r"input_ids has the shape .*, not \(n_rows, "):
        make(n_texts=n_texts)(rows_for(4, n_texts=given)[0])


# The regulariser


def test_isometries_are_not_penalised():
    model = make()
    for module in model.layers.modules():
        if isinstance(module, nn.Linear):
            nn.init.orthogonal_(module.weight)
    assert model.isometry_regularizer().item() == pytest.approx(0, abs=1e-9)


def test_the_isometry_term_is_the_distance_of_the_gram_matrix():
    model = make(num_hidden_layers=1, intermediate_size=40)
    expected = 0.0
    for module in model.layers.modules():
        if isinstance(module, nn.Linear):
            singular = torch.linalg.svdvals(module.weight.double())
            expected += ((singular**2 - 1) ** 2).sum().item() / 2
    assert model.isometry_regularizer().item() == pytest.approx(expected, rel=1e-5)


def test_tied_layers_are_penalised_as_often_as_they_run():
    model = make(tied_layers=True)
    once = model.isometry_regularizer().item()
    model.num_hidden_layers = 6
    assert model.isometry_regularizer().item() == pytest.approx(6 / 2 * once)


# Training


@every_kind
@every_pooling
def test_the_gradient_reaches_all_parameters(kind, pooling):
    model = make(kind, pooling=pooling).train()
    (model(*rows_for(4)).square().sum() + model.isometry_regularizer()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@every_kind
def test_autocast_leaves_the_residual_stream_its_precision(kind):
    model, (ids, mask) = make(kind), rows_for(4)
    expected, _ = model.encode(ids, mask)
    streams = []
    model.norm.register_forward_pre_hook(lambda module, args: streams.append(args[0].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        hidden, _ = model.encode(ids, mask)
    assert streams == [torch.float32]
    assert_near(hidden.float(), expected, atol=0.1)


def hide_and_seek(n_rows, generator):
    """Rows with one of two words somewhere; which of them is the class."""
    ids = torch.randint(3, VOCAB - 1, (n_rows, LENGTH), generator=generator)
    labels = torch.randint(2, (n_rows,), generator=generator)
    places = torch.randint(LENGTH, (n_rows,), generator=generator)
    ids[torch.arange(n_rows), places] = 1 + labels
    return ids, labels


@every_variant
def test_four_rows_in_superposition_are_told_apart(variant):
    # Only the mark is read: what it knows of a row came through the attention of all four.
    generator = torch.Generator().manual_seed(0)
    sizes = {"hidden_size": 32, "head_dim": 32, "n_features": 64, "num_hidden_layers": 1}
    model = make(variant, pooling="cls", **sizes).train()
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(40):
        ids, labels = hide_and_seek(64, generator)
        optimizer.zero_grad()
        F.cross_entropy(model(ids), labels).backward()
        optimizer.step()
    ids, labels = hide_and_seek(400, generator)
    right = model.eval()(ids).argmax(1) == labels
    assert right.view(-1, 4).float().mean(0).min().item() > 0.9


# Inference


@every_kind
@every_pooling
@pytest.mark.parametrize("n_texts", [1, 2])
def test_inference_gives_the_same(kind, pooling, n_texts):
    model, rows = make(kind, pooling=pooling, n_texts=n_texts), rows_for(12, n_texts=n_texts)
    with torch.no_grad():
        folded = model.for_inference()
        for n_mux in model.operating_points:
            assert_near(folded(*rows, n_mux), model(*rows, n_mux))


def test_inference_shares_no_memory():
    model = make()
    folded = model.for_inference()
    own = {t.data_ptr() for t in model.state_dict().values()}
    assert own.isdisjoint(t.data_ptr() for t in folded.state_dict().values())
    assert not any(p.requires_grad for p in folded.parameters())
    assert all(m.folded is None for m in model.modules() if isinstance(m, GridAttention))


def test_preparing_twice_changes_nothing():
    model, rows = make().for_inference(), rows_for(4)
    assert_near(model.for_inference()(*rows), model(*rows))


def test_inference_in_half_precision():
    model, rows = make("att+mlp"), rows_for(4)
    logits = model.for_inference(torch.bfloat16)(*rows)
    assert logits.dtype == torch.bfloat16
    assert_near(logits.float(), model(*rows), atol=0.1)


# Checkpoints of the reference; their numbers are compared in tests/benchmark


@pytest.fixture(scope="module")
def checkpoint():
    tensors = load_file(CASE.with_suffix(".safetensors"))
    weights = {k.removeprefix("weight."): v for k, v in tensors.items() if k.startswith("weight.")}
    return json.loads(CASE.read_text())["config"], weights


def test_a_checkpoint_tells_its_sizes(checkpoint):
    config, weights = checkpoint
    model = MIMOFormer.from_state_dict(config, weights)
    assert not model.training
    assert not model.reference_padding
    assert (model.grid, model.n_texts, len(model.layers)) == ((2, 2), 1, 1)
    assert model.num_hidden_layers == config["num_layers"]
    assert model.max_length == config["max_seq_len"]


def test_a_checkpoint_of_double_precision_stays_so(checkpoint):
    config, weights = checkpoint
    model = MIMOFormer.from_state_dict(config, {k: v.double() for k, v in weights.items()})
    assert {p.dtype for p in model.parameters()} == {torch.float64}


def test_a_wide_head_is_for_pairs(checkpoint):
    config, weights = checkpoint
    head = "seq_classifer.mlpblock.0.weight"
    model = MIMOFormer.from_state_dict(config, {**weights, head: weights[head].repeat(1, 4)})
    assert model.n_texts == 2


def test_a_mark_takes_a_position(checkpoint):
    config, weights = checkpoint
    config = {**config, "pooling_mode": "CLS"}
    lengths = [
        MIMOFormer.from_state_dict(config, weights, reference_padding=switch).max_length
        for switch in (False, True)
    ]
    assert lengths == [config["max_seq_len"] - 1, config["max_seq_len"]]


def test_missing_extra_and_misshaped_tensors_are_one_error(checkpoint):
    config, weights = checkpoint
    weights = {**weights, "model.scale": torch.zeros(3), "model.norm.bias": torch.zeros(31)}
    del weights["model.transformer.mha.ff.weight"]
    del weights["model.transformer.mha.attn.bindings_embedding"]
    with pytest.raises(ValueError, match="do not fit a MIMOFormer") as error:
        MIMOFormer.from_state_dict(config, weights)
    assert set(str(error.value).splitlines()[1:]) == {
        "  missing: model.transformer.mha.ff.weight",
        "  missing: model.transformer.mha.attn.bindings_embedding",
        "  mis-shaped: model.norm.bias is (31,), not (32,)",
        "  unexpected: model.scale",
    }


def test_other_checkpoints_are_refused(checkpoint):
    config, weights = checkpoint
    for bad in (({}, weights), ({**config, "attn_type": "longformer"}, weights), (config, {})):
        with pytest.raises(ValueError, match="not a MIMOFormer checkpoint: attn_type="):
            MIMOFormer.from_state_dict(*bad)


@every_kind
@pytest.mark.parametrize("n_texts", [1, 2])
@pytest.mark.parametrize("training", [False, True])
def test_no_rows_get_no_logits(kind, n_texts, training):
    model = make(kind, n_texts=n_texts)
    ids = torch.zeros((0, LENGTH) if n_texts == 1 else (0, 2, LENGTH), dtype=torch.long)
    with torch.set_grad_enabled(training):
        assert model(ids, torch.ones_like(ids)).shape == (0, CLASSES)
        assert model.for_inference()(ids).shape == (0, CLASSES)
