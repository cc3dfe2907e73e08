"""Bulk prediction on the engines that people have: Dask, Ray and Spark.

A model that `save` has written is loaded once by every worker process. The folder must be at
the same path on all machines, and `muxlearn` must be installed there.
"""

from muxlearn.distributed._dask import predict_dask
from muxlearn.distributed._ray import predict_ray
from muxlearn.distributed._spark import predict_spark

__all__ = ["predict_dask", "predict_ray", "predict_spark"]
