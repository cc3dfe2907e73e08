import json

import numpy as np
import pytest
import torch
from safetensors.torch import load

from muxlearn.box import train as command
from muxlearn.box._batches import Batch, BatchSampler
from muxlearn.box._corpus import Corpus, write_corpus
from muxlearn.box._student import make_student, read_parts
from muxlearn.box._teacher import encoder_arguments, expand
from muxlearn.box._training import Recipe, Wanted, compare, lay_out, train
from muxlearn.nn.embedding import EmbeddingParts
from muxlearn.nn.encoder import CompactEncoder
from muxlearn.points import Point

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def sentences():
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 30, 600)
    return [rng.integers(103, 400, length).tolist() for length in lengths]


def sampler(sentences, seed=0, batch_tokens=400):
    tokens = np.concatenate([np.array(s, np.uint16) for s in sentences])
    starts = np.concatenate([[0], np.cumsum([len(s) for s in sentences])])
    return BatchSampler(tokens, starts, CPU, batch_tokens, seed=seed)


@pytest.fixture
def teacher():
    torch.manual_seed(0)
    return CompactEncoder(400, 16, 2, 2, 32, 300, dropout=0.0, norm_first=False)


def test_all_rows_of_a_batch_have_the_layout_of_berts_texts(sentences):
    drawn = sampler(sentences)
    kinds = set()
    for _ in range(200):
        ids, cut = drawn.draw()
        assert ids[:, 0].eq(101).all()
        assert ids[:, -1].eq(102).all()
        assert ids[:, cut - 1].eq(102).all()
        assert ids.numel() <= 400 or len(ids) == 1
        special = (ids == 101) | (ids == 102)
        assert special.sum(1).eq(2 if cut == ids.shape[1] else 3).all()
        kinds.add(cut == ids.shape[1])
    assert kinds == {True, False}


def test_sentences_are_drawn_whole(sentences):
    known = {tuple(s) for s in sentences}
    drawn = sampler(sentences)
    texts = [drawn._at(drawn._sentences(9, 50), 9) for _ in range(5)]
    assert {tuple(row) for text in texts for row in text.tolist()} <= known


def test_a_gpu_sees_few_shapes(sentences):
    drawn = sampler(sentences, batch_tokens=60)
    shapes = {(batch.ids.shape[1], batch.cut) for batch in (drawn.draw() for _ in range(1500))}
    assert 20 < len(shapes) < 120


def test_a_sentence_is_cut_to_the_next_length_below():
    drawn = sampler([list(range(200, 219)), list(range(300, 318)), list(range(400, 440))] * 9)
    texts = drawn._at(drawn._sentences(18, 100), 18)
    assert {tuple(row) for row in texts.tolist()} == {tuple(range(s, s + 18)) for s in (200, 300)}


def test_the_same_seed_draws_the_same_batches(sentences):
    one, other = sampler(sentences, 3), sampler(sentences, 3)
    for _ in range(20):
        assert torch.equal(one.draw().ids, other.draw().ids)


@pytest.mark.parametrize(("cut", "size"), [(5, 3), (6, 3), (4, 5), (10, 3)])
def test_a_patch_never_spans_two_texts(cut, size):
    ids = torch.arange(1, 11).expand(2, 10)
    laid, mask, gap = lay_out(ids, cut, size)
    mask = torch.ones_like(laid, dtype=torch.bool) if mask is None else mask
    assert torch.equal(laid[mask].view(2, 10), ids)
    assert laid.shape[1] == 10 + gap
    patches = torch.arange(laid.shape[1]) // size
    first, second = (
        set(patches[(laid[0] > 0) & side].tolist()) for side in (laid[0] <= cut, laid[0] > cut)
    )
    assert first.isdisjoint(second)


def test_a_student_starts_as_its_teacher(teacher):
    student = make_student(teacher, [Point(1, 1), Point(2, 3)]).eval()
    ids = torch.randint(103, 400, (4, 7))
    output = student(ids, n_mux=1, patch_size=1, parts=EmbeddingParts(token_samples=5))
    hidden = teacher(teacher.embedding(ids), None)
    torch.testing.assert_close(output.rows, hidden.mean(1))
    vectors, positions = output.tokens
    torch.testing.assert_close(vectors, hidden[torch.arange(4).view(4, 1, 1), positions])


def test_tokens_are_compared_with_their_own(teacher):
    """At (1, 1) the student is its teacher, wherever a gap has moved the tokens to."""
    torch.manual_seed(0)
    student = make_student(teacher, [Point(1, 1), Point(1, 4)]).eval()
    batch = Batch(torch.randint(103, 400, (6, 11)), 5)
    seen = []

    def run(ids, mask=None, n_mux=1, patch_size=1, token_samples=0):
        output = student(ids, mask, n_mux, patch_size, EmbeddingParts(token_samples))
        if output.tokens is None:
            return output
        # The ids themselves, in the place of vectors.
        positions = output.tokens[1]
        rows = torch.arange(len(ids) // n_mux).view(-1, 1, 1)
        seen.append(ids[rows, positions])
        return output._replace(tokens=(ids[rows, positions][..., None].float(), positions))

    wanted = Wanted(torch.randn(6, 16), batch.ids[..., None].float())
    measures = compare(run, batch, wanted, [Point(1, 4)], 20)[1]
    assert measures["1x4 tokens"] == 0
    assert (seen[0] > 0).all()


@pytest.mark.slow
def test_training_comes_nearer_to_the_teacher_and_leaves_a_checkpoint(teacher, sentences, tmp_path):
    points = {Point(1, 1): 0.5, Point(1, 2): 1.0, Point(2, 2): 0.5}
    recipe = Recipe(minutes=0.15, batch_tokens=400, token_samples=5, lr=1e-3, points=points)
    lines = []
    student = train(
        teacher,
        sampler(sentences),
        sampler(sentences, 1),
        tmp_path,
        recipe,
        device=CPU,
        dtype=torch.float32,
        log=lines.append,
    )
    first, last = json.loads(lines[0]), json.loads(lines[-1])["held_out"]
    for name in ("1x2", "2x2", "words"):
        assert last[name] > first[name] + 0.02
    assert last["1x1"] > 0.9
    content = b"".join(p.read_bytes() for p in sorted(tmp_path.glob("encoder.safetensors.*")))
    kept = expand(load(content))
    assert torch.equal(read_parts(tmp_path).head.weight, kept["head.weight"])
    assert set(kept) == set(student.state_dict())
    for name, tensor in student.state_dict().items():
        torch.testing.assert_close(kept[name], tensor, atol=2e-2, rtol=1e-2)


@pytest.mark.slow
def test_the_command_trains_what_prepare_wrote(teacher, sentences, tmp_path, capsys):
    from safetensors.torch import save_file

    sizes = json.dumps(encoder_arguments(teacher))
    save_file(teacher.state_dict(), tmp_path / "teacher.safetensors", metadata={"sizes": sizes})
    write_corpus(tmp_path / "corpus.xz", [sentences[i : i + 5] for i in range(0, 600, 5)])
    options = ["--device", "cpu", "--minutes", "0.02", "--batch-tokens", "300"]
    assert command.main([str(tmp_path), *options, "--points", "1,1,0.5", "1,3,1"]) == 0
    assert "held_out" in capsys.readouterr().out
    assert (
        command.main(
            [str(tmp_path), *options, "--points", "1,2,1", "--profile", "--dtype", "bfloat16"]
        )
        == 0
    )
    assert "Self CPU time total" in capsys.readouterr().out
    assert (tmp_path / "out" / "encoder.safetensors.00").exists()


def test_a_training_to_go_on_with_must_be_there(tmp_path, capsys):
    for name in ("teacher.safetensors", "corpus.xz"):
        (tmp_path / name).touch()
    options = ["--device", "cpu", "--start", str(tmp_path)]
    assert command.main([str(tmp_path), *options]) == 2
    assert (
        "holds no encoder.safetensors.00; python -m muxlearn.box.train" in capsys.readouterr().err
    )


@pytest.mark.parametrize("missing", ["teacher.safetensors", "corpus.xz"])
def test_a_missing_file_is_named(missing, tmp_path, capsys):
    for name in {"teacher.safetensors", "corpus.xz"} - {missing}:
        (tmp_path / name).touch()
    assert command.main([str(tmp_path), "--device", "cpu"]) == 2
    writer = {"teacher.safetensors": "prepare", "corpus.xz": "texts"}[missing]
    message = f"{missing} is missing; python -m muxlearn.box.{writer} writes it"
    assert message in capsys.readouterr().err


def test_every_source_is_judged_by(sentences):
    lengths = np.full(60_000, 4)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    tokens = np.repeat(np.arange(60_000) // 1000, 4).astype(np.uint16)
    first = np.ones(60_000, dtype=bool)
    training, held_out = command.split_corpus(Corpus(tokens, starts, first, {}))
    assert len(training[0]) + len(held_out[0]) == len(tokens)
    assert len(np.unique(held_out[0])) >= 2
    assert len(held_out[0]) < 0.02 * len(tokens)
