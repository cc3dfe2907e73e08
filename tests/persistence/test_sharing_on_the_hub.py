"""Estimators on the hub: a small one of our own on this machine."""

from http.server import ThreadingHTTPServer

import numpy as np
import pytest
from huggingface_hub import constants
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from muxlearn import MuxImageClassifier, MuxTextClassifier
from muxlearn.architectures import TEXT_ARCHITECTURES
from muxlearn.persistence import FormatError
from muxlearn.rows import READERS
from tests.persistence.hub_server import FILES, LABELS, TEXTS, TOKEN, Handler, assert_same
from tests.rows.test_new_reader import BagOfLetters, LetterReader


def test_a_model_goes_to_the_hub_and_comes_back(hub, cache, fitted):
    url = fitted.push_to_hub("me/model", token=TOKEN)
    assert url == f"{hub.url}/me/model/commit/{hub.refs['me/model']['main']}"
    assert set(hub.files("me/model", "main")) == FILES
    assert_same(MuxTextClassifier.from_pretrained("me/model"), fitted)
    assert (cache / "models--me--model").is_dir()


def test_an_image_model_goes_to_the_hub_without_a_tokenizer(hub, images, tmp_path):
    images.push_to_hub("me/images", token=TOKEN)
    assert set(hub.files("me/images", "main")) == FILES - {"tokenizer.json"}
    rows = np.random.RandomState(0).rand(5, 8, 8)
    loaded = MuxImageClassifier.from_pretrained("me/images", cache_dir=tmp_path / "own")
    assert_same(loaded, images, rows)
    assert (tmp_path / "own" / "models--me--images").is_dir()


def test_a_reader_of_ones_own_brings_its_files(hub, monkeypatch):
    monkeypatch.setitem(READERS, LetterReader.kind, LetterReader)
    monkeypatch.setitem(TEXT_ARCHITECTURES, BagOfLetters.name, BagOfLetters)
    clf = MuxTextClassifier(n_mux=2, architecture="letters", max_epochs=1).fit(TEXTS, LABELS)
    clf.push_to_hub("me/letters", token=TOKEN)
    assert set(hub.files("me/letters", "main")) == FILES - {"tokenizer.json"} | {"letters.txt"}
    assert_same(MuxTextClassifier.from_pretrained("me/letters"), clf)


def test_a_name_without_a_user_is_completed_on_the_card(hub, fitted):
    fitted.push_to_hub("model", token=TOKEN, scores={2: {"accuracy": 0.125}})
    card = hub.files("me/model", "main")["README.md"].decode()
    assert "from_pretrained('me/model')" in card
    assert "0.125" in card


def test_an_older_revision_is_had_by_its_commit(hub, fitted, other):
    fitted.push_to_hub("me/model", token=TOKEN)
    first = hub.refs["me/model"]["main"]
    other.push_to_hub("me/model", token=TOKEN)
    assert_same(MuxTextClassifier.from_pretrained("me/model"), other)
    assert_same(MuxTextClassifier.from_pretrained("me/model", revision=first), fitted)


def test_files_come_from_one_commit_though_the_branch_moves(hub, fitted, other, monkeypatch):
    other.push_to_hub("me/model", token=TOKEN)
    later = hub.files("me/model", "main")
    fitted.push_to_hub("me/model", token=TOKEN)
    answer = Handler.answer

    def move(self, *args, **headers):
        answer(self, *args, **headers)
        if "config.json" in self.path and self.command == "GET":
            hub.commit("me/model", later)

    monkeypatch.setattr(Handler, "answer", move)
    assert_same(MuxTextClassifier.from_pretrained("me/model"), fitted)


def test_a_branch_and_a_pull_request(hub, fitted, other):
    fitted.push_to_hub("me/model", token=TOKEN)
    hub.commit("me/model", hub.files("me/model", "main"), "dev")
    other.push_to_hub("me/model", token=TOKEN, branch="dev")
    assert_same(MuxTextClassifier.from_pretrained("me/model", revision="dev"), other)
    assert_same(MuxTextClassifier.from_pretrained("me/model"), fitted)
    url = other.push_to_hub("me/model", token=TOKEN, create_pr=True)
    assert url == f"{hub.url}/me/model/discussions/1"


def test_a_private_model_takes_a_token(hub, fitted):
    fitted.push_to_hub("me/secret", token=TOKEN, private=True)
    assert hub.private == {"me/secret"}
    with pytest.raises(OSError, match="`name_or_folder` 'me/secret' was not found"):
        MuxTextClassifier.from_pretrained("me/secret")
    assert_same(MuxTextClassifier.from_pretrained("me/secret", token=TOKEN), fitted)


def test_a_card_that_is_somebody_s_own_stays_on_the_hub(hub, fitted, other):
    fitted.push_to_hub("me/model", token=TOKEN, private=True)
    hub.commit("me/model", {"README.md": b"# My words\n"})
    with pytest.warns(UserWarning, match="lacks the comment.* it is kept"):
        other.push_to_hub("me/model", token=TOKEN)
    assert hub.files("me/model", "main")["README.md"] == b"# My words\n"
    assert_same(MuxTextClassifier.from_pretrained("me/model", token=TOKEN), other)


def test_a_loaded_model_needs_no_network_any_more(hub, fitted, monkeypatch):
    fitted.push_to_hub("me/model", token=TOKEN)
    MuxTextClassifier.from_pretrained("me/model")
    hub.asked.clear()
    assert_same(MuxTextClassifier.from_pretrained("me/model", local_files_only=True), fitted)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert_same(MuxTextClassifier.from_pretrained("me/model"), fitted)
    assert hub.asked == []


# What goes wrong on the hub


@pytest.mark.parametrize(
    ("repo_id", "error", "message"),
    [
        ("a/b/c", ValueError, "`repo_id` 'a/b/c' is no name for a repository"),
        ("no spaces", ValueError, "such as 'user/name'"),
        ("", ValueError, "`repo_id` ''"),
        (3, TypeError, r"`repo_id` must be a name such as 'user/name', got 3 \(int\)"),
    ],
)
def test_a_name_for_no_repository(hub, fitted, repo_id, error, message):
    with pytest.raises(error, match=message):
        fitted.push_to_hub(repo_id, token=TOKEN)
    assert hub.asked == []


def test_nothing_is_made_on_the_hub_for_a_model_that_cannot_be_saved(hub, fitted):
    with pytest.raises(NotFittedError):
        MuxTextClassifier().push_to_hub("me/model", token=TOKEN)
    with pytest.raises(TypeError, match=r"`scores` must be a mapping .* got 0\.9 \(float\)"):
        fitted.push_to_hub("me/model", token=TOKEN, scores=0.9)
    days = np.array(["2020-01-01", "2020-01-02"] * 6, dtype="datetime64[D]")
    odd = clone(fitted).fit(TEXTS, days)
    with pytest.raises(TypeError, match="a saved folder keeps strings"):
        odd.push_to_hub("me/model", token=TOKEN)
    assert hub.asked == []


@pytest.mark.parametrize("token", [None, "hf_of_another"])
def test_whoever_may_not_write(hub, fitted, token):
    with pytest.raises(OSError, match="`repo_id` 'me/model' cannot be written") as error:
        fitted.push_to_hub("me/model", token=token)
    for part in (hub.url, "401", "Invalid username or password", "`hf auth login`"):
        assert part in str(error.value)
    assert error.value.__suppress_context__


def test_offline_nothing_is_uploaded(hub, fitted, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match=r"OfflineModeIsEnabled: .* HF_HUB_OFFLINE unset"):
        fitted.push_to_hub("me/model", token=TOKEN)
    assert hub.asked == []


def test_offline_nothing_is_downloaded(cache, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match=r"`name_or_folder` 'me/model' .*\(HF_HUB_OFFLINE is set\)"):
        MuxTextClassifier.from_pretrained("me/model")


def test_no_hub_at_the_other_end(hub, fitted, monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        port = closed.server_port
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    with pytest.raises(OSError, match=r"cannot be written on .*ConnectError"):
        fitted.push_to_hub("me/model", token=TOKEN)


def test_the_hub_objects_to_metadata(hub, fitted):
    hub.objection = '"license" must be one of some'
    with pytest.raises(ValueError, match='"license" must be one of some'):
        fitted.push_to_hub("me/model", token=TOKEN, metadata={"license": "none such"})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (b'{"model_type": "bert"}', "`name_or_folder` 'some/bert': .* of another library"),
        (None, "`name_or_folder` 'some/bert': .* has no config.json"),
    ],
)
def test_weights_of_another_library_are_not_fetched(hub, config, message):
    files = {"model.safetensors": b"many", "config.json": config}
    hub.commit("some/bert", {name: data for name, data in files.items() if data is not None})
    with pytest.raises(FormatError, match=message):
        MuxTextClassifier.from_pretrained("some/bert")
    assert not any("safetensors" in path for path in hub.asked)


def test_weights_of_another_estimator_are_not_fetched(hub, tagger):
    tagger.push_to_hub("me/tagger", token=TOKEN)
    hub.asked.clear()
    with pytest.raises(FormatError, match=r"'me/tagger': .* holds a MuxTokenTagger, not a"):
        MuxTextClassifier.from_pretrained("me/tagger")
    assert not any("safetensors" in path for path in hub.asked)


def test_files_that_were_changed_on_the_hub(hub, fitted):
    fitted.push_to_hub("me/model", token=TOKEN)
    hub.commit("me/model", {"tokenizer.json": b"{}"})
    with pytest.raises(FormatError, match=r"'me/model': tokenizer\.json .* wrong checksum"):
        MuxTextClassifier.from_pretrained("me/model")
