import os
import shutil
import signal
import threading
import time

import joblib
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from muxlearn.distributed import predict_ray

# Ray warns of its own options when it makes a context of defaults.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(r"ignore:.*deprecated::ray\..*"),
]

ray = pytest.importorskip("ray")
psutil = pytest.importorskip("psutil")
pytest.importorskip("ray.data")


@pytest.fixture(scope="module")
def engine():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        yield
        ray.shutdown()


@pytest.fixture
def dataset(engine, parts):
    return ray.data.from_pandas([part.reset_index(drop=True) for part in parts])


@pytest.mark.parametrize("groups", [None, "tenant"])
def test_each_batch_is_predicted_as_predict_does(dataset, folder, expected, groups):
    given = predict_ray(dataset, folder, groups=groups, batch_size=60).to_pandas()
    assert given["id"].tolist() == list(range(240))
    np.testing.assert_array_equal(given["prediction"], expected("predict", groups))


def test_a_killed_actor_costs_no_row(dataset, folder, expected, tmp_path):
    def slow(batch):
        import time
        import uuid

        time.sleep(1)
        (tmp_path / str(uuid.uuid4())).touch()
        return batch

    predicted = predict_ray(dataset.map_batches(slow, batch_size=60), folder, batch_size=60)
    results = []
    job = threading.Thread(target=lambda: results.append(predicted.to_pandas()))
    job.start()
    while not (actors := _actors()) or not any(tmp_path.iterdir()):
        assert job.is_alive()
        time.sleep(0.01)
    os.kill(actors[0].pid, signal.SIGKILL)
    assert len(list(tmp_path.iterdir())) < 4
    job.join()
    (given,) = results
    assert given["id"].tolist() == list(range(240))
    np.testing.assert_array_equal(given["prediction"], expected("predict"))


def _actors():
    """Find the actors among the processes that this one has started."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "MapWorker" in "".join(process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def test_an_actor_without_the_folder_says_so(dataset, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    predicted = predict_ray(dataset, tmp_path / "model")
    shutil.rmtree(tmp_path / "model")
    with pytest.raises(ray.exceptions.RayError, match="has no model in"):
        predicted.to_pandas()


@pytest.mark.parametrize("concurrency", [0, "2", (1,), (4, 1), (1, 2, 3)])
def test_what_is_no_number_of_actors_is_refused(dataset, folder, concurrency):
    with pytest.raises(ValueError, match=r"`concurrency` must be .* at least 1, .*, got "):
        predict_ray(dataset, folder, concurrency=concurrency)


def test_a_search_runs_on_ray_with_a_thread_for_each_worker(engine, tiny_classifier, frame):
    from ray.util.joblib import register_ray

    def n_threads():
        import torch

        return torch.get_num_threads()

    register_ray()
    clf = tiny_classifier(warm_up=None)
    X, y = frame["text"].tolist(), ["x", "y"] * 120
    local = GridSearchCV(clf, {"n_mux": [1, 2]}, cv=2).fit(X, y)
    with joblib.parallel_config("ray", n_jobs=2):
        search = GridSearchCV(clf, {"n_mux": [1, 2]}, cv=2).fit(X, y)
        threads = joblib.Parallel()(joblib.delayed(n_threads)() for _ in range(4))
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], local.cv_results_["mean_test_score"], atol=0.02
    )
    assert set(threads) == {1}
