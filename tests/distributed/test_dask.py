import os
import shutil
import signal
import time

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV, cross_validate

from muxlearn.distributed import predict_dask
from muxlearn.training.workers import share_of

pytestmark = pytest.mark.slow

distributed = pytest.importorskip("distributed")
dd = pytest.importorskip("dask.dataframe")


@pytest.fixture(scope="module")
def client():
    """Two workers, which are processes of one thread each."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def dataset(parts):
    return dd.concat([dd.from_pandas(part, npartitions=1) for part in parts])


@pytest.mark.parametrize("groups", [None, "tenant"])
def test_each_partition_is_predicted_as_predict_does(client, dataset, folder, expected, groups):
    given = predict_dask(dataset, folder, groups=groups).compute()
    assert given["id"].tolist() == list(range(240))
    np.testing.assert_array_equal(given["prediction"], expected("predict", groups))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (pd.DataFrame({"text": ["a"]}), "`dataset` must be a dask.dataframe.DataFrame, got"),
        (dd.from_pandas(pd.DataFrame({0: ["a"]}), npartitions=1), "has a column called 0; give"),
    ],
)
def test_what_is_no_frame_of_dask_is_refused(folder, given, message):
    with pytest.raises(TypeError, match=message):
        predict_dask(given, folder)


def test_lists_are_written_to_files(client, dataset, folder, expected, tmp_path):
    predicted = predict_dask(dataset, folder, method="predict_proba")
    predicted.to_parquet(tmp_path / "parts", schema=None)
    given = pd.read_parquet(tmp_path / "parts")
    assert given["id"].tolist() == list(range(240))
    np.testing.assert_allclose(
        np.stack(given["probabilities"]), expected("predict_proba"), atol=1e-6
    )


def test_the_rows_of_other_groups_do_not_matter(client, dataset, folder, expected):
    def rewrite(part):
        return part.assign(text=part["text"].where(part["tenant"] == "p", "quite another text"))

    changed = dataset.map_partitions(rewrite, meta=dataset._meta)
    given = predict_dask(changed, folder, groups="tenant", method="predict_proba").compute()
    kept = (given["tenant"] == "p").to_numpy()
    given = np.stack(given["probabilities"])
    before = expected("predict_proba", "tenant")
    np.testing.assert_allclose(given[kept], before[kept], atol=1e-5)
    assert abs(given[~kept] - before[~kept]).max() > 1e-3


def test_a_killed_worker_costs_no_row(client, dataset, folder, expected):
    def slow(part):
        import time

        time.sleep(1)
        return part

    delayed = predict_dask(dataset.map_partitions(slow, meta=dataset._meta), folder).to_delayed()
    pids = client.run(os.getpid)
    futures = client.compute(delayed)
    while not any(future.done() for future in futures):
        time.sleep(0.01)
    os.kill(next(iter(pids.values())), signal.SIGKILL)
    assert not all(future.done() for future in futures)
    given = pd.concat(client.gather(futures))
    assert given["id"].tolist() == list(range(240))
    np.testing.assert_array_equal(given["prediction"], expected("predict"))
    client.wait_for_workers(2)


def test_a_worker_without_the_folder_says_so(client, dataset, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    predicted = predict_dask(dataset, tmp_path / "model")
    shutil.rmtree(tmp_path / "model")
    with pytest.raises(FileNotFoundError, match=r"the worker .* has no model in"):
        predicted.compute()


def test_a_search_runs_on_the_cluster_and_fitted_nets_travel(client, tiny_classifier, frame):
    clf = tiny_classifier(warm_up=None)
    X, y = frame["text"].tolist(), ["x", "y"] * 120
    local = GridSearchCV(clf, {"n_mux": [1, 2]}, cv=2).fit(X, y)
    with joblib.parallel_config("dask"):
        search = GridSearchCV(clf, {"n_mux": [1, 2]}, cv=2, n_jobs=2).fit(X, y)
        fitted = cross_validate(clf, X, y, cv=2, n_jobs=2, return_estimator=True)["estimator"]
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], local.cv_results_["mean_test_score"], atol=0.02
    )
    assert len(fitted[0].predict(X)) == 240


def test_workers_have_numbers_and_a_core_each(client):
    def look():
        import torch

        from muxlearn.training.workers import worker_number

        return worker_number(), torch.get_num_threads()

    client.wait_for_workers(2, timeout=60)  # one was killed, and may be on its way back
    futures = [client.submit(look, workers=[name], pure=False) for name in client.nthreads()]
    numbers, threads = zip(*client.gather(futures), strict=True)
    assert {share_of(number, 2) for number in numbers} == {0, 1}
    assert threads == (1, 1)
