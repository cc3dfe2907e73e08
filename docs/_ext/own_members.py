"""Leave out of a class's page what comes from torch, scikit-learn or Python."""

from types import FunctionType
from typing import Any, NamedTuple

from sphinx.application import Sphinx

#: Of scikit-learn, and documented with every estimator there is.
KEPT = {"get_params", "set_params"}

_FieldOfTuple = type(NamedTuple("_Tuple", [("field", int)]).field)


def skip_foreign(
    app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any
) -> bool | None:
    """Answer the event autodoc-skip-member: True leaves out, None leaves it to others."""
    if name in KEPT:
        return None
    if isinstance(obj, _FieldOfTuple):
        return True  # described under "Attributes"
    inner = obj.fget if isinstance(obj, property) else getattr(obj, "__func__", obj)
    if not isinstance(inner, FunctionType):
        # Data keep what their comment says; what else has a docstring of its own is of a library.
        return True if callable(obj) and what != "module" else None
    return True if not inner.__module__.startswith("muxlearn") else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the event."""
    app.connect("autodoc-skip-member", skip_foreign)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
