"""Estimators on the hub: a small one of our own on this machine, over real HTTP."""

import base64
import hashlib
import json
import pickle
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from muxlearn import MuxImageClassifier, MuxTextClassifier, MuxTokenTagger
from muxlearn.persistence import FormatError

TEXTS = ["the cat sat", "my old dog", "it", "a b c"] * 3
LABELS = ["x", "y"] * 6
FILES = {"README.md", "config.json", "model.safetensors", "tokenizer.json"}
TOKEN = "hf_of_the_owner"


# A hub


class Hub(ThreadingHTTPServer):
    """Repositories, in memory, behind what huggingface_hub asks of the real one."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.clear()

    def clear(self):
        self.refs, self.commits, self.private, self.asked = {}, {}, set(), []
        self.objection = None

    def commit(self, name, files, ref="main"):
        """Put files beside those that a branch has."""
        old = self.commits.get(self.refs.get(name, {}).get(ref), {})
        files = {**old, **files}
        digest = hashlib.sha1(repr((name, sorted(files.items()))).encode()).hexdigest()
        self.commits[digest] = files
        self.refs.setdefault(name, {})[ref] = digest
        return digest

    def files(self, name, revision):
        return self.commits.get(self.refs[name].get(revision, revision))


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def answer(self, content=b"", status=200, **headers):
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
            headers["Content-Type"] = "application/json"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def refuse(self, status, code, message):
        self.answer(b"", status, X_Error_Code=code, X_Error_Message=message)

    @property
    def is_owner(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def find(self, name, revision):
        """Return the files of a commit, or refuse and return None."""
        if name not in self.server.refs or (name in self.server.private and not self.is_owner):
            return self.refuse(404 if self.is_owner else 401, "RepoNotFound", "not found")
        files = self.server.files(name, revision)
        return self.refuse(404, "RevisionNotFound", "no revision") if files is None else files

    def do_GET(self):
        self.server.asked.append(self.path)
        refs = self.server.refs
        if match := re.match(r"/api/models/([^/]+/[^/]+)/(revision|tree)/(\w+)", self.path):
            name, kind, revision = match.groups()
            if (files := self.find(name, revision)) is None:
                return
            if kind == "revision":
                sha = refs[name].get(revision, revision)
                self.answer({"id": name, "sha": sha, "siblings": [], "private": False, "tags": []})
            else:
                tree = [
                    {"type": "file", "path": path, "size": len(data), "oid": etag(data)}
                    for path, data in files.items()
                ]
                self.answer(tree)
        elif match := re.match(r"/([^/]+/[^/]+)/resolve/(\w+)/(.+)", self.path):
            name, revision, path = match.groups()
            if (files := self.find(name, revision)) is None:
                return
            if path not in files:
                return self.refuse(404, "EntryNotFound", "no entry")
            sha = refs[name].get(revision, revision)
            data = files[path]
            self.answer(data, X_Repo_Commit=sha, ETag=f'"{etag(data)}"')
        else:
            self.refuse(404, "", f"what is {self.path}?")

    do_HEAD = do_GET

    def do_POST(self):
        self.server.asked.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = self.path.partition("?")[0]
        if path == "/api/validate-yaml":
            wrong = self.server.objection
            errors = [] if wrong is None else [{"message": wrong}]
            return self.answer({"errors": errors, "warnings": []}, 400 if errors else 200)
        if not self.is_owner:
            return self.refuse(401, "", "Invalid username or password.")
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        name, action, ref = re.match(r"/api/models/(.+)/(\w+)/(\w+)", path).groups()
        if action == "preupload":
            modes = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            return self.answer({"files": modes})
        lines = [json.loads(line) for line in body.splitlines()]
        files = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"])
            for line in lines
            if line["key"] == "file"
        }
        url = f"{self.server.url}/{name}"
        answer = {"success": True}
        if "create_pr=1" in self.path:
            ref, answer["pullRequestUrl"] = "pr1", f"{url}/discussions/1"
        answer["commitOid"] = self.server.commit(name, files, ref)
        self.answer(answer | {"commitUrl": f"{url}/commit/{answer['commitOid']}"})

    def create(self, repository):
        name = f"{repository['organization'] or 'me'}/{repository['name']}"
        url = f"{self.server.url}/{name}"
        if name in self.server.refs:
            return self.answer({"url": url, "error": "there is one"}, 409)
        if repository.get("visibility") == "private" or repository.get("private"):
            self.server.private.add(name)
        self.server.commit(name, {})
        self.answer({"url": url})


def etag(data):
    return hashlib.sha1(data).hexdigest()


@pytest.fixture(scope="module")
def server():
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, args=(0.01,))
        thread.start()
        yield hub
        hub.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    # What the library makes of the environment variables when it is imported.
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "tokens"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def hub(server, cache, monkeypatch):
    server.clear()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    return server


# Models


@pytest.fixture(scope="module")
def untrained(tiny_classifier):
    def fit(**params):
        return tiny_classifier(**{"max_epochs": 0, "warm_up": None} | params).fit(TEXTS, LABELS)

    return fit


@pytest.fixture(scope="module")
def fitted(untrained):
    return untrained()


@pytest.fixture(scope="module")
def other(untrained):
    return untrained(random_state=1)


@pytest.fixture(scope="module")
def tagger(tiny_tagger):
    sentences = [text.split() for text in TEXTS]
    tags = [["O"] * len(tokens) for tokens in sentences[1:]]
    return tiny_tagger(max_epochs=0, warm_up=None).fit(sentences, [["B", "I", "O"], *tags])


@pytest.fixture(scope="module")
def images():
    clf = MuxImageClassifier(2, architecture="mlp", max_epochs=0, random_state=0)
    return clf.fit(np.eye(64).reshape(64, 8, 8)[:12], [0, 1] * 6)


def assert_same(loaded, model, rows=TEXTS):
    assert type(loaded) is type(model)
    np.testing.assert_array_equal(loaded.predict_proba(rows), model.predict_proba(rows))


# scikit-learn's contract


@pytest.mark.parametrize("cls", [MuxTextClassifier, MuxTokenTagger, MuxImageClassifier])
def test_an_estimator_holds_its_parameters_and_nothing_else(cls):
    model = cls(n_mux=3).set_params(n_mux=7)
    assert vars(model) == model.get_params(deep=False)
    assert vars(clone(model)) == vars(model)
    assert vars(pickle.loads(pickle.dumps(model))) == vars(model)
    assert repr(clone(model)) == f"{cls.__name__}(n_mux=7)"


def test_a_loaded_estimator_is_cloned_like_any_other(fitted, tmp_path):
    fitted.save_pretrained(tmp_path)
    loaded = MuxTextClassifier.from_pretrained(tmp_path)
    assert vars(clone(loaded)) == loaded.get_params() == fitted.get_params()
    assert repr(loaded) == repr(fitted)


# Folders


@pytest.mark.parametrize("kind", [str, Path])
def test_a_folder_comes_back(fitted, tmp_path, kind):
    fitted.save_pretrained(kind(tmp_path / "model"))
    assert {file.name for file in (tmp_path / "model").iterdir()} == FILES
    assert_same(MuxTextClassifier.from_pretrained(kind(tmp_path / "model")), fitted)
    assert_same(MuxTextClassifier.load(tmp_path / "model"), fitted)


def test_what_save_has_written_comes_back(fitted, tmp_path):
    fitted.save(tmp_path)
    assert_same(MuxTextClassifier.from_pretrained(tmp_path), fitted)


def test_images_come_back(images, tmp_path):
    images.save_pretrained(tmp_path)
    rows = np.random.RandomState(0).rand(5, 8, 8)
    assert_same(MuxImageClassifier.from_pretrained(tmp_path), images, rows)


def test_a_tagger_comes_back(tagger, tmp_path):
    tagger.save_pretrained(tmp_path)
    loaded = MuxTokenTagger.from_pretrained(tmp_path)
    assert loaded.predict([["the", "cat"]]) == tagger.predict([["the", "cat"]])


def test_a_card_is_replaced_with_its_model(fitted, tmp_path):
    fitted.save_pretrained(tmp_path, scores={1: {"accuracy": 0.125}})
    fitted.save_pretrained(tmp_path)
    assert "0.125" not in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize("text", ["# My project\n", "caf\xe9".encode("latin1")])
def test_a_file_of_somebody_else_is_left_as_it_is(fitted, tmp_path, text):
    file = tmp_path / "README.md"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = file.read_bytes()
    with pytest.warns(UserWarning, match=r"README\.md that is there was not written by muxlearn"):
        fitted.save_pretrained(tmp_path)
    assert file.read_bytes() == before
    assert_same(MuxTextClassifier.from_pretrained(tmp_path), fitted)


def test_without_its_first_comment_a_card_is_somebody_s_own(fitted, tmp_path):
    fitted.save_pretrained(tmp_path)
    file = tmp_path / "README.md"
    own = re.sub("<!--.*-->", "My words.", file.read_text())
    file.write_text(own)
    with pytest.warns(UserWarning, match="made somebody's own"):
        fitted.save_pretrained(tmp_path)
    assert file.read_text() == own


def test_what_is_not_fitted_leaves_a_folder_alone(fitted, tmp_path):
    fitted.save_pretrained(tmp_path)
    with pytest.raises(NotFittedError):
        MuxTextClassifier().save_pretrained(tmp_path)
    assert_same(MuxTextClassifier.from_pretrained(tmp_path), fitted)


def test_a_wrong_card_writes_nothing(fitted, tmp_path):
    with pytest.raises(ValueError, match=r"`n_mux` has to be a whole number .* got 3"):
        fitted.save_pretrained(tmp_path / "model", scores={3: {"accuracy": 0.5}})
    assert not (tmp_path / "model").exists()


def test_a_folder_of_another_library(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(FormatError, match=r"another library; .* `backbone`, .* `from_reference`"):
        MuxTextClassifier.from_pretrained(tmp_path)


def test_a_folder_of_another_estimator(tagger, tmp_path):
    tagger.save_pretrained(tmp_path)
    with pytest.raises(FormatError, match=r"MuxTokenTagger\.load or \.from_pretrained"):
        MuxTextClassifier.from_pretrained(tmp_path)


def test_a_path_without_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="`name_or_folder`: there is no folder"):
        MuxTextClassifier.from_pretrained(tmp_path / "nothing")


# The hub


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
    with pytest.raises(OSError, match="`name_or_folder` 'me/secret' is neither"):
        MuxTextClassifier.from_pretrained("me/secret")
    assert_same(MuxTextClassifier.from_pretrained("me/secret", token=TOKEN), fitted)


def test_a_card_that_is_somebody_s_own_stays_on_the_hub(hub, fitted, other):
    fitted.push_to_hub("me/model", token=TOKEN, private=True)
    hub.commit("me/model", {"README.md": b"# My words\n"})
    with pytest.warns(UserWarning, match="made somebody's own"):
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
        (3, TypeError, r"`repo_id` has to be a name such as 'user/name', got 3 \(int\)"),
    ],
)
def test_a_name_for_no_repository(hub, fitted, repo_id, error, message):
    with pytest.raises(error, match=message):
        fitted.push_to_hub(repo_id, token=TOKEN)
    assert hub.asked == []


def test_nothing_is_made_on_the_hub_for_a_model_that_cannot_be_saved(hub, fitted):
    with pytest.raises(NotFittedError):
        MuxTextClassifier().push_to_hub("me/model", token=TOKEN)
    with pytest.raises(TypeError, match=r"`scores` has to be a mapping .* got 0\.9 \(float\)"):
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
