"""A folder whose configuration is changed, with its checksum, predicts the same or is refused."""

import copy
import hashlib
import json
import resource
import shutil
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from muxlearn.persistence import FormatError
from tests.persistence.folders import edit_config
from tests.persistence.test_saved_1f0b5df import EXPORTED, SAVED, check_answers, load

KINDS = [
    *("text_hadamard_index", "text_integers", "text_transformers", "tagger_viterbi"),
    *("image_mimoconv_hrr", "mimoformer_att", "revmux", "published_muxbert_tagger"),
    *("pretrainer", "onnx_text"),
]

#: What an entry may become.
VALUES = [
    *(None, True, -1, 0, 1, 3, 0.5, float("nan"), float("inf"), 10**9, 10**29),
    *("", "x", "\ud800", [], [1, "x"], {}, {"a": 1}),
]

#: Entries that say what a model is: another value that makes sense is another model.
MEANING = {
    *("labels", "plan_seed", "planner", "reader", "task"),
    *("structure", "encoder", "backbone", "reference"),
}

#: Entries that an error does not call by their names.
TOLD_IN_WORDS = {"format", "format_version", "estimator", "backbone_sha256"}


def paths(value, path=()):
    """Yield where the entries are; of a list, the first items."""
    items = value.items() if isinstance(value, dict) else list(enumerate(value))[:2]
    for name, item in items:
        if path or name != "sha256":
            yield (*path, name)
            if isinstance(item, dict | list):
                yield from paths(item, (*path, name))


def put(config, path, value):
    *parts, last = path
    for name in parts:
        config = config[name]
    config[last] = copy.deepcopy(value)


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """Give a model of a kind as today's version saves it."""
    made = {}

    def give(kind):
        if kind not in made:
            folder = made[kind] = tmp_path_factory.mktemp("saved") / kind
            if kind in EXPORTED:
                shutil.copytree(SAVED / kind, folder)
            else:
                load(kind)[0].save(folder)
        return made[kind]

    return give


def check(kind, folder, path, value):
    """Change an entry, load, and predict."""
    file = folder / "config.json"
    before = file.read_bytes()
    try:
        edit_config(folder, lambda config: put(config, path, value))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model, answers = load(kind, folder)
            try:
                check_answers(model, answers)
            except AssertionError:
                assert path[0] in MEANING
            except ValueError as error:
                # One of ours: the rows are not what the folder says of them.
                assert path[0] == "reader"
                assert "`X` holds" in str(error)  # noqa: PT017
    except FormatError as error:
        told = str(error)
        if path[0] not in TOLD_IN_WORDS:
            names = [str(name).rpartition("__")[2] for name in path if isinstance(name, str)]
            names += ["'a'"]  # what came in the place of entries that are known
            assert any(name in told for name in names), told
    finally:
        file.write_bytes(before)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20)
@given(data=st.data())
def test_an_entry_that_is_changed_is_named_or_changes_no_prediction(folder_of, kind, data):
    folder = folder_of(kind)
    config = json.loads((folder / "config.json").read_text())
    path = data.draw(st.sampled_from(sorted(paths(config), key=str)))
    value = data.draw(st.sampled_from(VALUES))
    if path != ("params", "compile"):  # which takes a minute where it is True
        check(kind, folder, path, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tokenizer: tokenizer.no_truncation(), "does not say where rows are cut off"),
        (
            lambda tokenizer: tokenizer.add_tokens(["snow"]),
            "271 tokens are read, but `vocab_size` is 270",
        ),
    ],
)
def test_a_tokenizer_of_another_model_is_refused(folder_of, tmp_path, change, message):
    folder = shutil.copytree(folder_of("text_hadamard_index"), tmp_path / "copy")
    file = folder / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(file))
    n_more = 270 - tokenizer.get_vocab_size()
    tokenizer.add_tokens([f"more {i}" for i in range(n_more)])
    change(tokenizer)
    tokenizer.save(str(file))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    edit_config(folder, lambda config: config["sha256"].update({file.name: digest}))
    with pytest.raises(FormatError, match=message):
        load("text_hadamard_index", folder)


def sizes(config):
    for path in paths({name: config[name] for name in MEANING & {*config}}):
        value = config
        for name in path:
            value = value[name]
        if type(value) is int:
            yield path


@pytest.mark.parametrize(
    "kind",
    [
        kind if kind.startswith(("image", "mimo")) else pytest.param(kind, marks=pytest.mark.slow)
        for kind in sorted({*KINDS} - {*EXPORTED})  # a graph has its sizes in it
    ],
)
def test_a_size_without_bounds_takes_neither_time_nor_memory(folder_of, kind):
    folder = folder_of(kind)
    config = json.loads((folder / "config.json").read_text())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for path in sizes(config):
        for value in (10**6, 10**9, 10**29):
            check(kind, folder, path, value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB
