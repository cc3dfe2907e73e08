"""What users construct, and what the estimators share."""

from muxlearn.estimators._nested import as_object as as_object
from muxlearn.estimators._nested import flatten as flatten
from muxlearn.estimators._nested import unflatten as unflatten
