import os
import shutil
import signal
import sys
import threading
import time

import numpy as np
import pytest

from muxlearn.distributed import predict_spark

pytest.importorskip("pyspark")
psutil = pytest.importorskip("psutil")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java, which is not here"),
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
    # What pandas 3 says of Spark's own way to make frames, and what Spark says of that.
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
    pytest.mark.filterwarnings("ignore:toPandas attempted Arrow optimization:UserWarning"),
]


@pytest.fixture(scope="module")
def spark():
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        session = (
            SparkSession.builder.master("local[2,4]")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.execution.arrow.pyspark.enabled", "true")
            .getOrCreate()
        )
        yield session
        session.stop()


@pytest.fixture
def dataset(spark, frame):
    # Four partitions of 60 rows, each one batch.
    rows = list(frame.itertuples(index=False, name=None))
    rdd = spark.sparkContext.parallelize(rows, 4)
    return spark.createDataFrame(rdd, "id long, text string, tenant string")


def collect(predicted):
    return predicted.toPandas().sort_values("id", ignore_index=True)


@pytest.mark.parametrize("groups", [None, "tenant"])
def test_each_partition_is_predicted_as_predict_does(dataset, folder, expected, groups):
    given = collect(predict_spark(dataset, folder, groups=groups))
    assert given["id"].tolist() == list(range(240))
    np.testing.assert_array_equal(given["prediction"], expected("predict", groups))


def test_columns_that_the_model_does_not_read_are_carried_along(dataset, folder, expected):
    from pyspark.sql import functions

    now = functions.current_timestamp()
    timed = dataset.withColumn("at", now).withColumn("times", functions.array(now))
    given = collect(predict_spark(timed, folder))
    np.testing.assert_array_equal(given["prediction"], expected("predict", None))
    with pytest.raises(ValueError, match="has a column 'Prediction' already"):
        predict_spark(dataset.withColumnRenamed("tenant", "Prediction"), folder, column="text")
    with pytest.raises(TypeError, match="`dataset` must be a DataFrame of Spark"):
        predict_spark(timed.toPandas(), folder)


def test_a_killed_worker_costs_no_row(spark, dataset, folder, expected, tmp_path):
    def slow(batches):
        import time
        import uuid

        for batch in batches:
            time.sleep(1)
            (tmp_path / str(uuid.uuid4())).touch()
            yield batch

    predicted = predict_spark(dataset.mapInPandas(slow, dataset.schema), folder)
    results = []
    job = threading.Thread(target=lambda: results.append(collect(predicted)))
    job.start()
    while not any(tmp_path.iterdir()):
        assert job.is_alive()
        time.sleep(0.01)
    os.kill(_workers()[-1].pid, signal.SIGKILL)
    assert len(list(tmp_path.iterdir())) < 4
    job.join()
    (given,) = results
    assert given["id"].tolist() == list(range(240))
    np.testing.assert_array_equal(given["prediction"], expected("predict"))


def _workers():
    """Find the Python workers among the processes that this one has started."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            parent = process.parent()
            # One that has ended keeps its place until it is asked for, and has no command.
            if parent and "pyspark.daemon" in parent.cmdline() and process.cmdline():
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def test_a_worker_without_the_folder_says_so(dataset, folder, tmp_path):
    from pyspark.errors import PythonException

    shutil.copytree(folder, tmp_path / "model")
    # Each attempt at a partition starts a worker: one partition takes the fewest.
    predicted = predict_spark(dataset.coalesce(1), tmp_path / "model")
    shutil.rmtree(tmp_path / "model")
    with pytest.raises(PythonException, match="has no model in"):
        predicted.toPandas()
