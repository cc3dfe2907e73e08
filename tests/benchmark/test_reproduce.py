"""The papers' experiments run from the start to the table, and go on after a kill."""

import gzip
import json
from argparse import ArgumentParser
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from skorch.history import History

from muxlearn import MuxImageClassifier, MuxTextClassifier
from muxlearn.benchmark.__main__ import main
from muxlearn.benchmark.reproduce import _long_data, add_arguments, draw_scores
from muxlearn.benchmark.reproduce._command import RECIPES
from muxlearn.benchmark.reproduce._data import file_task, mnist, texts_of_file
from muxlearn.benchmark.reproduce._gradients import GradientFilter
from muxlearn.benchmark.reproduce._recipe import SCALES, Request
from muxlearn.datasets import load_conll, load_labelled
from muxlearn.pretraining import MuxTextPretrainer


def read(path):
    return json.loads(path.read_text())


def reproduce(name, folder, *options, scale="tiny"):
    out = folder / "table.json"
    where = ["--state", str(folder / "state"), "--json", str(out), "--repeats", "1"]
    assert main(["reproduce", name, "--scale", scale, *where, *options]) == 0
    return read(out)


def test_a_folder_keeps_results_of_the_same_options(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state/options.json").write_text(json.dumps({"name": "revmux-glue"}))
    with pytest.raises(SystemExit, match=r"--state .* results of other options \(name: "):
        reproduce("mimoconv-cifar", tmp_path)


def models(table):
    return [(row["task"], row["model"]) for row in table["rows"]]


EXPECTED = {
    "datamux-mnli": [
        (task, model)
        for task in ("texts", "pairs")
        for model in (
            *("B1, plain", "B2, plain and warmed up", "DataMUX, N=2", "ours, N=1", "ours, N=2"),
            *("ours, words alone", "TF-IDF"),
        )
    ],
    "datamux-ner": [
        ("sentences", model)
        for model in (
            *("ours, 1 row", "ours, 2 rows", "ours, 2 tokens", "ours, words alone"),
            *("DataMUX, N=2", "most frequent tag"),
        )
    ],
    "datamux-vision": [
        (network, model)
        for network in ("CNN", "MLP")
        for model in ("alone", "learnable, N=2", "graded, N=2", "remap, N=2")
    ],
    "mux-plm-glue": [
        *(
            ("texts", model)
            for name in ("BERT", "ELECTRA")
            for model in (f"plain {name}", f"MUX-{name}, N=2", f"MUX-{name}, N=2 as an ensemble")
        ),
        ("texts", "plain BERT, 1 layer"),
        ("texts", "TF-IDF"),
    ],
    "mimoconv-cifar": [
        ("squares", model)
        for model in (
            *("plain", "hrr, N=2", "hrr for 1 and 2, N=1", "hrr for 1 and 2, N=2"),
            *("plain, width 1", "linear model of pixels"),
        )
    ],
    "mimoformer-lra": [
        (task, model)
        for task, variants in (("listops", ("att", "att+mlp")), ("pathfinder", ("att",)))
        for model in ("Performer", *(f"{v} (2, 2)" for v in variants), "most frequent", "TF-IDF")
    ],
    "revmux-glue": [
        ("texts", model)
        for model in (
            *("trained", "trained, 5 layers", "frozen", "RevMUX, N=2", "ora, N=2", "adapter, N=2"),
            "TF-IDF",
        )
    ],
}


#: Experiments with many models, which take more than five seconds.
LONG = {"datamux-mnli", "datamux-ner", "mimoformer-lra", "mux-plm-glue", "revmux-glue"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in RECIPES],
)
def test_an_experiment_runs_from_random_weights_to_its_table(name, tmp_path, capsys):
    table = reproduce(name, tmp_path)
    assert models(table) == EXPECTED[name]
    first = table["rows"][0]
    assert (first["drop"], first["speed_up"]) == (0, 1)
    assert all(0 <= row["score"] <= 1 and row["speed_up"] > 0 for row in table["rows"])
    assert table["notes"][0].startswith("The paper: ")
    assert any(note.startswith("Differs: ") for note in table["notes"])
    written = capsys.readouterr()
    assert table["notes"][-1] in written.out
    assert "model shards" not in written.err


@pytest.mark.slow
def test_tasks_share_the_networks_that_they_start_from(tmp_path, monkeypatch):
    fits = []
    fit = MuxTextPretrainer.fit

    def counted(self, *args, **options):
        fits.append(self.objective)
        return fit(self, *args, **options)

    monkeypatch.setattr(MuxTextPretrainer, "fit", counted)
    reproduce("datamux-mnli", tmp_path, "--only", "B2")
    assert fits == ["retrieval"]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_names_and_says_what_differs(name, scale):
    recipe = RECIPES[name](scale)
    assert scale in recipe.title
    assert recipe.deviations
    for source in recipe.sources:
        names = [variant.name for variant in recipe.variants_of(source)]
        assert len(names) == len(set(names)) > 1


def test_a_line_starts_at_the_twin_and_goes_through_mixtures_alone():
    figure = Figure()
    rows = [
        {"task": "t", "family": family, "n_mux": n_mux, "score": score}
        for family, n_mux, score in (
            *(("plain", 1, 0.9), ("mixed", 2, 0.8), ("mixed", 1, 0.95), ("mixed", 5, 0.7)),
            *(("mixed", 5, 0.1), ("plain", 1, 0.85), ("TF-IDF", 1, 0.5)),
        )
    ]
    draw_scores(figure, rows, RECIPES["mux-plm-glue"]("tiny"))
    (line,) = figure.axes[0].lines
    assert line.get_xydata().tolist() == [[1, 0.9], [2, 0.8], [5, 0.7]]


@pytest.mark.parametrize(
    ("name", "only", "expected"),
    [
        (
            "mimoconv-cifar",
            "dynamic",
            {"plain": 1, "hrr for 1 and 2, N=1": 1, "hrr for 1 and 2, N=2": 2},
        ),
        pytest.param(
            "datamux-ner",
            "ours",
            {"ours, 1 row": 1, "ours, 2 rows": 2, "ours, 2 tokens": 1, "ours, words alone": 1},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_model_of_several_points_says_how_many_rows_each_reads_at_once(
    name, only, expected, tmp_path
):
    table = reproduce(name, tmp_path, "--only", only)
    assert {row["model"]: row["n_mux"] for row in table["rows"]} == expected


def test_a_run_goes_on_where_it_was_killed(tmp_path, monkeypatch):
    fits = []
    fit = MuxImageClassifier.fit

    def killed(self, *args, **options):
        if len(fits) == 2:
            raise KeyboardInterrupt
        fits.append(self.multiplexer)
        return fit(self, *args, **options)

    monkeypatch.setattr(MuxImageClassifier, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        reproduce("datamux-vision", tmp_path, "--tasks", "CNN")
    assert len(fits) == 2
    monkeypatch.setattr(
        MuxImageClassifier, "fit", lambda *args, **options: fits.append(0) or fit(*args, **options)
    )
    table = reproduce("datamux-vision", tmp_path, "--tasks", "CNN")
    assert len(table["rows"]) == len(fits) == 4
    # All is there by now.
    again = reproduce("datamux-vision", tmp_path, "--tasks", "CNN")
    assert len(fits) == 4
    assert again["rows"] == table["rows"]


def test_the_options_of_the_pages_are_taken(tmp_path):
    files = ["--data", str(tmp_path), "--texts", str(tmp_path / "texts.txt")]
    chosen = ["--tasks", "MLP", "--only", "alone", "--dtype", "bfloat16"]
    table = reproduce("datamux-vision", tmp_path, *files, *chosen)
    assert models(table) == [("MLP", "alone")]


def test_seeds_are_averaged_and_models_chosen(tmp_path):
    plot = tmp_path / "figure.png"
    options = ["--only", "remap", "--tasks", "MLP", "--seeds", "0", "1", "--plot", str(plot)]
    table = reproduce("datamux-vision", tmp_path, *options)
    assert models(table) == [("MLP", "alone"), ("MLP", "remap, N=2")]
    assert all(row["lowest"] <= row["score"] <= row["highest"] for row in table["rows"])
    assert plot.stat().st_size > 1000


def test_models_are_chosen_by_their_rows(tmp_path):
    table = reproduce("datamux-vision", tmp_path, "--tasks", "CNN", "--n-mux", "4")
    assert models(table) == [("CNN", "alone")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tasks", "RNN"], "--tasks: 'RNN' is none of CNN, MLP"),
        (["--only", "fourier"], "--only names none of alone, graded, learnable, remap"),
    ],
)
def test_what_an_experiment_does_not_have_is_named(tmp_path, options, message):
    with pytest.raises(SystemExit, match=message):
        reproduce("datamux-vision", tmp_path, *options)


# Training


def filtered(norms, epochs=1):
    """Return the weights after steps whose gradients have these norms, and the history."""
    weights = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weights], lr=1.0, momentum=0.9, weight_decay=0.1)
    net = SimpleNamespace(history=History())
    callback = GradientFilter()
    for epoch in range(epochs):
        net.history.new_epoch()
        for norm in norms[epoch]:
            net.history.new_batch()
            weights.grad = torch.full((1,), float(norm))
            callback.on_grad_computed(net, iter([("weights", weights)]))
            optimizer.step()
        callback.on_epoch_end(net)
    return weights.item(), net.history


def test_a_step_is_skipped_where_its_gradient_is_ten_times_the_usual_one():
    quiet, history = filtered([[1, 3], [15]], epochs=2)
    assert [epoch["grad_norm"] for epoch in history] == [2, 15]
    # Neither momentum nor decay moves a weight then.
    assert filtered([[1, 3], [25, float("nan")]], epochs=2)[0] == filtered([[1, 3]])[0] != quiet
    assert filtered([[1, 3], [25]], epochs=2)[1][-1, "grad_norm"] == 2


def test_no_gradient_of_the_first_epoch_is_too_large_and_all_are_clipped():
    weights, history = filtered([[1, 5000]])
    assert history[-1, "grad_norm"] == 2500.5
    assert -2000 < weights < -1000


def test_the_paper_of_mimoconv_skips_steps():
    for scale, skips in (("paper", True), ("small", False)):
        recipe = RECIPES["mimoconv-cifar"](scale)
        for variant in recipe.variants_of(recipe.sources[0]):
            if variant.family != "linear":
                assert bool(variant.model.callbacks) == skips


# Data


def request(**files):
    return Request(**{"data": None, "texts": None, "seed": 0, **files})


def test_a_scale_that_reads_files_asks_for_them(tmp_path):
    with pytest.raises(SystemExit, match="give --data FOLDER"):
        reproduce("datamux-vision", tmp_path, scale="small")
    with pytest.raises(SystemExit, match="give --texts FILE"):
        texts_of_file(request())


def test_the_rows_to_learn_from_are_drawn_by_the_seed(tmp_path):
    for role, n in (("train", 20), ("test", 4)):
        lines = "".join(f"{i % 2}\ttext {i}\n" for i in range(n))
        (tmp_path / f"films-{role}.tsv.gz").write_bytes(gzip.compress(lines.encode()))
    source = file_task("films", load_labelled, 8, 3)
    first, second = (source.read(request(data=tmp_path, seed=seed)) for seed in (0, 1))
    assert len(first.train.X) == len(set(first.train.X)) == 8
    assert set(first.train.X) != set(second.train.X)
    assert [int(text.split()[1]) % 2 for text in first.train.X] == list(map(int, first.train.y))
    assert list(first.test.X) == ["text 0", "text 1", "text 2"]


def test_sentences_are_read_from_files(tmp_path):
    for role in ("train", "test"):
        (tmp_path / f"news-{role}.txt.gz").write_bytes(gzip.compress(b"a\tO\nb\tB-X\n\nc\tO\n"))
    split = file_task("news", load_conll, 1, None).read(request(data=tmp_path))
    assert len(split.train.X) == 1
    assert split.test.y == [["O", "B-X"], ["O"]]


def test_texts_are_drawn_from_a_file(tmp_path):
    (tmp_path / "texts.txt.gz").write_bytes(gzip.compress(b"one\n\ntwo\nthree\n"))
    drawn = texts_of_file(request(texts=tmp_path / "texts.txt.gz"), 2)
    assert len(drawn) == 2
    assert set(drawn) < {"one", "two", "three"}


def test_images_lose_their_rim(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 28, 28), np.uint8)
    for name in ("train", "t10k"):
        for kind, values, n_axes in (
            ("images-idx3", images, 3),
            ("labels-idx1", np.arange(5, dtype=np.uint8), 1),
        ):
            header = bytes([0, 0, 8, n_axes]) + np.array(values.shape, ">i4").tobytes()
            path = tmp_path / f"{name}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(header + values.tobytes()))
    split = mnist(3, crop=4)(request(data=tmp_path))
    np.testing.assert_array_equal(split.train.X, images[:3, 4:24, 4:24])
    np.testing.assert_array_equal(split.test.X, images[:, 4:24, 4:24])
    assert mnist(None)(request(data=tmp_path)).train.X.shape == (5, 28, 28)


def test_a_scale_must_be_named():
    parser = ArgumentParser()
    add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["datamux-ner"])


# Long Range Arena


def test_fetched_pictures_are_shuffled_and_grey_values_known(monkeypatch):
    grey = {"train": np.arange(40).reshape(10, 4), "test": np.full((10, 4), 255)}
    monkeypatch.setattr(_long_data, "fetch_lra_image", lambda split: (grey[split], np.arange(10)))
    split = _long_data.pictures(request())
    np.testing.assert_array_equal(split.train.X[:, 0], 4 * split.train.y)
    assert split.train.y.tolist() != list(range(10))
    assert split.test.X.max() == split.train.X.max()


def test_reviews_are_shuffled_with_their_labels(monkeypatch):
    texts = [f"review {i}" for i in range(10)]
    monkeypatch.setattr(_long_data, "fetch_lra_text", lambda split: (texts, np.arange(10)))
    split = _long_data.reviews(request())
    assert [f"review {i}" for i in split.train.y] == split.train.X != texts


def test_papers_are_read_from_a_folder(tmp_path):
    for part, n_rows in (("train", 8), ("test", 5)):
        lines = [f"{i % 2}\ta\tb\tfirst {i}\tsecond {i}\n" for i in range(n_rows)]
        (tmp_path / f"new_aan_pairs.{part}.tsv").write_text("".join(lines))
    split = _long_data.papers(request(data=tmp_path))
    assert len(split.train.X) == 8
    assert all(row[0][6:] == row[1][7:] for row in split.train.X)
    with pytest.raises(SystemExit, match="give --data FOLDER"):
        _long_data.papers(request())


def test_every_grid_learns_from_as_many_rows_in_a_step():
    recipe = RECIPES["mimoformer-lra"]("paper")
    for source in recipe.sources:
        variants = recipe.variants_of(source)
        networks = [v.model for v in variants if isinstance(v.model, MuxTextClassifier)]
        performer, *others = networks
        assert all(clf.batch_size * clf.n_mux == performer.batch_size for clf in others)
