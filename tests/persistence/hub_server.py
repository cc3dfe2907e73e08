"""A small hub on this machine, over real HTTP; models and rows to share there."""

import base64
import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

TEXTS = ["the cat sat", "my old dog", "it", "a b c"] * 3
LABELS = ["x", "y"] * 6
FILES = {"README.md", "config.json", "model.safetensors", "tokenizer.json"}
TOKEN = "hf_of_the_owner"


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


def assert_same(loaded, model, rows=TEXTS):
    assert type(loaded) is type(model)
    np.testing.assert_array_equal(loaded.predict_proba(rows), model.predict_proba(rows))
