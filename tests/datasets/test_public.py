import pickle

import datasets
import numpy as np
import pytest
from torchvision.datasets import CIFAR10, CIFAR100

from muxlearn.datasets import fetch_cifar, fetch_conll2003, fetch_glue, fetch_wikitext


@pytest.fixture(autouse=True)
def _quiet():
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def labelled(names, labels, **columns):
    label = datasets.Value("float32") if names is None else datasets.ClassLabel(names=names)
    features = datasets.Features(
        {**dict.fromkeys(columns, datasets.Value("string")), "label": label}
    )
    return datasets.Dataset.from_dict({**columns, "label": labels}, features=features)


def write(folder, **splits):
    folder.mkdir(parents=True)
    for split, part in splits.items():
        part.to_parquet(folder / f"{split}-00000-of-00001.parquet")


# GLUE


@pytest.fixture
def glue(tmp_path):
    nli = ["entailment", "neutral", "contradiction"]
    pairs = labelled(nli, [2, 0], premise=["a", "b"], hypothesis=["c", "d"])
    matched, mismatched = pairs.select([1, 0]), pairs.select([1])
    parts = {"train": pairs, "validation_matched": matched, "validation_mismatched": mismatched}
    write(tmp_path / "glue/mnli", **parts)
    films = labelled(["negative", "positive"], [1, 0, 1], sentence=["good", "bad", "fine"])
    hidden = labelled(["negative", "positive"], [-1], sentence=["so-so"])
    write(tmp_path / "glue/sst2", train=films, test=hidden)
    near = labelled(None, [2.5], sentence1=["a"], sentence2=["b"])
    unknown = labelled(None, [-1.0], sentence1=["a"], sentence2=["b"])
    write(tmp_path / "glue/stsb", train=near, test=unknown)
    return tmp_path / "glue"


def test_sentences_come_with_the_names_of_their_labels(glue, cache):
    bunch = fetch_glue("sst2", glue, cache_dir=cache)
    assert bunch.data == ["good", "bad", "fine"]
    assert bunch.target.tolist() == ["positive", "negative", "positive"]
    assert bunch.target_names == ["negative", "positive"]


def test_a_folder_of_one_task_is_enough(glue, cache):
    X, y = fetch_glue("sst2", glue / "sst2", split="train[1:]", cache_dir=cache, return_X_y=True)
    assert (X, y.tolist()) == (["bad", "fine"], ["negative", "positive"])
    assert any(cache.iterdir())


@pytest.mark.parametrize(
    ("split", "pairs", "labels"),
    [
        ("validation", [("b", "d"), ("a", "c")], ["entailment", "contradiction"]),
        ("validation[1:]", [("a", "c")], ["contradiction"]),
        ("validation_mismatched", [("b", "d")], ["entailment"]),
    ],
)
def test_pairs_are_tuples_and_validation_is_the_matched_one(glue, cache, split, pairs, labels):
    X, y = fetch_glue("mnli", glue, split=split, cache_dir=cache, return_X_y=True)
    assert (X, y.tolist()) == (pairs, labels)


def test_labels_without_names_are_numbers_as_text(tmp_path, cache):
    rows = {"sentence": ["a", "b"], "question": ["c", "d"], "label": [1, 0]}
    write(tmp_path / "qnli", train=datasets.Dataset.from_dict(rows))
    X, y = fetch_glue("qnli", tmp_path, cache_dir=cache, return_X_y=True)
    assert (X, y.tolist()) == ([("c", "a"), ("d", "b")], ["1", "0"])


def test_similarities_are_numbers(glue, cache):
    bunch = fetch_glue("stsb", glue, cache_dir=cache)
    assert (bunch.target.tolist(), bunch.target_names) == ([2.5], [])


@pytest.mark.parametrize("split", ["test", "train+test"])
@pytest.mark.parametrize("task", ["sst2", "stsb"])
def test_hidden_labels_are_an_error(glue, cache, task, split):
    with pytest.raises(ValueError, match="labels are not public; take 'validation'"):
        fetch_glue(task, glue, split=split, cache_dir=cache)


def test_a_split_that_is_no_name_is_refused(glue, cache):
    with pytest.raises(TypeError, match="`split` must be a str"):
        fetch_glue("mnli", glue, split=None, cache_dir=cache)


# CoNLL-2003


def test_sentences_come_with_a_tag_for_each_token(tmp_path, cache):
    names = ["I-PER", "B-PER", "O"]
    features = datasets.Features(
        {
            "tokens": datasets.Sequence(datasets.Value("string")),
            "ner_tags": datasets.Sequence(datasets.ClassLabel(names=names)),
        }
    )
    rows = {"tokens": [["Ann", "Lee", "ran"], []], "ner_tags": [[1, 0, 2], []]}
    write(tmp_path / "conll", train=datasets.Dataset.from_dict(rows, features=features))
    bunch = fetch_conll2003(tmp_path / "conll", cache_dir=cache)
    assert bunch.data == [["Ann", "Lee", "ran"]]
    assert bunch.target == [["B-PER", "I-PER", "O"]]
    assert bunch.target_names == ["B-PER", "I-PER", "O"]


@pytest.mark.parametrize("tag", [5, "B-LOC"])
def test_tags_without_names_are_those_of_the_task(tmp_path, cache, tag):
    rows = {"tokens": [["Rome"]], "ner_tags": [[tag]]}
    write(tmp_path / "conll/conll2003", test=datasets.Dataset.from_dict(rows))
    X, y = fetch_conll2003(tmp_path / "conll", split="test", cache_dir=cache, return_X_y=True)
    assert (X, y) == ([["Rome"]], [["B-LOC"]])


# WikiText


def test_paragraphs_come_without_headings(tmp_path, cache):
    lines = ["", " = Robin = \n", " The robin is a bird . \n", "", " It sings . \n"]
    for name in ("small", "large"):
        write(tmp_path / "wiki" / name, train=datasets.Dataset.from_dict({"text": lines}))
        lines = ["something else"]
    bunch = fetch_wikitext(tmp_path / "wiki", name="small", cache_dir=cache)
    assert bunch.data == ["The robin is a bird .", "It sings ."]


# Of all from the hub


@pytest.mark.parametrize(
    ("fetch", "name", "branch"),
    [
        (lambda **places: fetch_glue("rte", **places), "nyu-mll/glue", ""),
        (fetch_conll2003, "eriktks/conll2003", " --revision refs/convert/parquet"),
        (fetch_wikitext, "Salesforce/wikitext", ""),
    ],
)
def test_offline_the_error_says_what_to_do(fetch, name, branch, monkeypatch, cache):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    with pytest.raises(
        ConnectionError, match=f"hf download {name} --repo-type dataset{branch} --local"
    ):
        fetch(cache_dir=cache)


def test_a_task_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match="`task` must be"):
        fetch_glue("squad")


# CIFAR


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """Write CIFAR's files with few pictures, whose checksums are others."""
    images = np.random.default_rng(0).integers(0, 256, (6, 3072), np.uint8)
    for kind, folder, key, names in (
        (CIFAR10, "cifar-10-batches-py", "labels", ["cat", "dog"]),
        (CIFAR100, "cifar-100-python", "fine_labels", ["oak", "elm"]),
    ):
        place = tmp_path / folder
        place.mkdir()
        for name, rows in (("train", images[:4]), ("test", images[4:])):
            labels = [row % 2 for row in range(len(rows))]
            (place / name).write_bytes(pickle.dumps({"data": rows, key: labels}))
        meta = {"filename": "meta", "key": "names", "md5": None}
        (place / "meta").write_bytes(pickle.dumps({"names": names}))
        monkeypatch.setattr(kind, "train_list", [("train", None)])
        monkeypatch.setattr(kind, "test_list", [("test", None)])
        monkeypatch.setattr(kind, "meta", meta)
    return tmp_path, images


@pytest.mark.parametrize(
    ("name", "names"), [("cifar10", ["cat", "dog"]), ("cifar100", ["elm", "oak"])]
)
def test_pictures_come_with_the_names_of_their_classes(cifar, name, names):
    folder, images = cifar
    bunch = fetch_cifar(name, split="test", data_home=folder, download_if_missing=False)
    np.testing.assert_array_equal(bunch.data.transpose(0, 3, 1, 2).reshape(2, -1), images[4:])
    assert sorted(bunch.target) == bunch.target_names == names
    X, _ = fetch_cifar(name, data_home=folder, download_if_missing=False, return_X_y=True)
    assert X.shape == (4, 32, 32, 3)


def test_a_folder_without_pictures_is_an_error(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"cifar-10-python.tar.gz .* as `data_home`"):
        fetch_cifar(data_home=tmp_path, download_if_missing=False)
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=f"'{tmp_path}/cifar' does not hold the files"):
        fetch_cifar(download_if_missing=False)


def test_without_a_connection_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(CIFAR100, "url", "http://127.0.0.1:9/cifar-100-python.tar.gz")
    with pytest.raises(
        ConnectionError, match=r"cifar-100-python.tar.gz on .* give that as `data_home`"
    ):
        fetch_cifar("cifar100", data_home=tmp_path)


def test_there_are_two_sizes_of_cifar():
    with pytest.raises(ValueError, match="`name` must be"):
        fetch_cifar("cifar20")
