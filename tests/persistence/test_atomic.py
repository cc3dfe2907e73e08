"""A save is one step: killed, out of disk, or beside readers and other writers."""

import errno
import fcntl
import itertools
import os
import resource
import signal
import sys
import threading
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch

from muxlearn.persistence import FormatError, read_folder, write_folder
from muxlearn.persistence._atomic import _COMMITTED, _STAGED, replace_files, sync, write_files
from muxlearn.persistence._folders import read_whole
from tests.persistence.folders import edit_config

#: Two models of different sizes; the larger one also has a tokenizer.
WEIGHTS = {"one": torch.full((50,), 1.0), "two": torch.full((100_000,), 2.0)}

#: Its processes start at once, since the server that they are copies of has imported all.
context = get_context("forkserver")
context.set_forkserver_preload(["tests.persistence.test_atomic"])


def save(folder, name):
    tensors = {"weight": WEIGHTS[name], "bias": WEIGHTS[name][:7].clone()}
    files = {"tokenizer.json": name * 1000} if name == "two" else {}
    config = {"estimator": "Any", "params": {"name": name}, "structure": {}}
    write_folder(folder, config, tensors, files)


def read(folder):
    """Return which of the models a folder holds; both in parts would be an error."""
    config, tensors, files = read_folder(folder, "Any")
    name = config["params"]["name"]
    for tensor in tensors.values():
        assert torch.equal(tensor, WEIGHTS[name][: len(tensor)])
    assert files == ({"tokenizer.json": name * 1000} if name == "two" else {})
    return name


def left_in(folder):
    return sorted(file.name for file in folder.iterdir() if file.name.startswith("."))


def save_for_ever(folder, names, has_saved):
    for name in itertools.cycle(names):
        save(folder, name)
        has_saved.set()


def start_writer(folder, *names):
    has_saved = context.Event()
    process = context.Process(target=save_for_ever, args=(folder, names, has_saved), daemon=True)
    process.start()
    assert has_saved.wait(60)
    return process


def end(process):
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL  # and it had not ended by itself


# Steps


def test_files_are_replaced_and_others_stay(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "README.md").write_text("mine")
    write_files(tmp_path, {"a": b"1", "b": b"1"})
    write_files(tmp_path, {"b": b"2", "c": b"2"})
    contents = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    assert contents == {"a": b"1", "b": b"2", "c": b"2", "README.md": b"mine"}
    assert left_in(tmp_path) == []


def test_the_working_directory_is_a_folder_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in WEIGHTS:
        save(".", name)
        assert read(".") == name
    assert os.path.samefile(os.getcwd(), tmp_path)


def test_an_error_leaves_the_former_files(tmp_path):
    write_files(tmp_path, {"a": b"1"})

    def stop():
        with replace_files(tmp_path) as staged:
            (staged / "a").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert (tmp_path / "a").read_bytes() == b"1"
    assert left_in(tmp_path) == []


def moves_that_stop_after(n_moves, monkeypatch):
    """Let the process end, as it seems, after some files have moved to their places."""
    replace, done = Path.replace, []

    def stopping(self, target):
        if len(done) == n_moves:
            raise KeyboardInterrupt
        done.append(target)
        return replace(self, target)

    monkeypatch.setattr("pathlib.Path.replace", stopping)


@pytest.mark.parametrize("n_moves", [0, 1, 2])
def test_what_was_committed_is_read_though_files_have_not_moved(tmp_path, monkeypatch, n_moves):
    save(tmp_path, "one")
    with monkeypatch.context() as context:
        moves_that_stop_after(n_moves, context)
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path, "two")
    assert left_in(tmp_path) == [_COMMITTED]
    assert read(tmp_path) == "two"
    save(tmp_path, "one")
    assert left_in(tmp_path) == []
    assert read(tmp_path) == "one"


def test_what_was_not_committed_is_cleared(tmp_path):
    save(tmp_path, "one")
    (tmp_path / f"{_STAGED}0").mkdir()
    (tmp_path / f"{_STAGED}0" / "model.safetensors").write_bytes(b"half")
    assert read(tmp_path) == "one"
    save(tmp_path, "two")
    assert left_in(tmp_path) == []


def test_a_model_that_is_damaged_stays_so_with_no_writer_beside(tmp_path):
    save(tmp_path, "two")
    (tmp_path / "model.safetensors").write_bytes(b"half")
    with pytest.raises(FormatError, match="wrong checksum"):
        read(tmp_path)


def test_a_configuration_that_cannot_be_read_is_not_replaced(tmp_path):
    file = tmp_path / "config.json"
    file.symlink_to(file)
    with pytest.raises(OSError, match=r"symbolic links: .*config\.json"):
        save(tmp_path, "one")
    assert list(tmp_path.iterdir()) == [file]


# Processes


@pytest.mark.slow
def test_a_killed_writer_leaves_a_whole_model(tmp_path):
    rng = np.random.default_rng(0)
    save(tmp_path, "one")
    left, found = set(), set()
    for _ in range(40):
        process = start_writer(tmp_path, "two", "one")
        time.sleep(rng.uniform(0, 0.03))
        end(process)
        left |= {bool(left_in(tmp_path))}
        found |= {read(tmp_path)}
    assert found == {"one", "two"}
    assert True in left  # some were killed within a save
    save(tmp_path, "one")
    assert left_in(tmp_path) == []


@pytest.mark.slow
def test_readers_beside_two_writers_see_whole_models(tmp_path):
    save(tmp_path, "one")
    writers = [start_writer(tmp_path, *names) for names in (("one", "two"), ("two", "one"))]
    try:
        found, until = [], time.monotonic() + 3
        while time.monotonic() < until:
            found.append(read(tmp_path))
    finally:
        for writer in writers:
            end(writer)
    assert set(found) == {"one", "two"}
    save(tmp_path, "one")
    assert read(tmp_path) == "one"
    assert left_in(tmp_path) == []


def test_threads_write_one_after_the_other(tmp_path):
    threads = [
        threading.Thread(target=partial(save, tmp_path, name)) for name in (*WEIGHTS, *WEIGHTS) * 3
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read(tmp_path) in WEIGHTS
    assert left_in(tmp_path) == []


def refuse_lock(descriptor, operation):
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.mark.parametrize(("name", "value"), [("fcntl", None), ("fcntl.flock", refuse_lock)])
def test_writers_without_locks_do_not_mix_their_files(tmp_path, monkeypatch, name, value):
    monkeypatch.setattr(f"muxlearn.persistence._atomic.{name}", value)
    test_threads_write_one_after_the_other(tmp_path)


def is_locked(folder):
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@pytest.mark.parametrize("n_saves", [1, 7, 8])
def test_a_reader_starts_again_where_a_save_came_between_and_at_last_locks(tmp_path, n_saves):
    save(tmp_path, "one")
    names = itertools.islice(itertools.cycle(["two", "one"]), n_saves)

    def read_late():
        for name in names:
            save(tmp_path, name)
            raise FormatError
        return is_locked(tmp_path)

    assert read_whole(tmp_path, read_late) == (n_saves == 8)


# Disks


def test_a_folder_that_its_file_system_cannot_sync_is_no_error():
    sync(Path("/proc/self"))


def test_a_full_disk_leaves_the_former_model(small_disk):
    save(small_disk, "one")
    with pytest.raises(OSError, match="No space left on device"):
        save(small_disk, "two")
    assert read(small_disk) == "one"
    assert left_in(small_disk) == []


def save_within_a_limit(folder, n_bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
    try:
        save(folder, "two")
    except OSError as error:
        sys.exit(error.errno if error.filename == str(folder) else 1)


def test_a_file_that_is_too_large_leaves_the_former_model(tmp_path):
    save(tmp_path, "one")
    process = context.Process(target=save_within_a_limit, args=(tmp_path, 100_000))
    process.start()
    process.join()
    assert process.exitcode == errno.EFBIG
    assert read(tmp_path) == "one"
    assert left_in(tmp_path) == []


# Checksums


def test_a_changed_configuration_is_noticed(tmp_path):
    save(tmp_path, "one")
    file = tmp_path / "config.json"
    file.write_text(file.read_text().replace('"one"', '"two"'))
    with pytest.raises(FormatError, match=r"config\.json in .* is not the file that was"):
        read(tmp_path)


def test_a_configuration_without_a_checksum_is_of_an_earlier_version(tmp_path):
    save(tmp_path, "one")
    edit_config(tmp_path, lambda config: config["sha256"].pop("config.json"))
    assert read(tmp_path) == "one"
