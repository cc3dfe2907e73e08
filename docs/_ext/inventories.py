"""Addresses of the other projects that our pages link to, for a build without a network.

With a network Sphinx reads the projects' own inventories and these are not used.
"""

import zlib
from pathlib import Path

# Address of the documentation, and objects by the template of their page.
PROJECTS = {
    "python": (
        "https://docs.python.org/3",
        {
            "py:class library/stdtypes.html#$": ("dict", "list", "str", "tuple"),
            "py:class library/functions.html#$": ("bool", "float", "int", "object"),
            "py:exception library/exceptions.html#$": ("OSError", "TypeError", "ValueError"),
            # What numpydoc makes of "bool", "sequence" and "iterable" in a list of parameters.
            "std:label library/stdtypes.html#{}": ("bltin-boolean-values",),
            "std:term glossary.html#term-{}": ("iterable", "sequence"),
        },
    ),
    "numpy": (
        "https://numpy.org/doc/stable",
        {
            "py:class reference/generated/{}.html#$": ("numpy.ndarray",),
            "py:class reference/random/legacy.html#$": ("numpy.random.RandomState",),
            "std:term glossary.html#term-{}": ("array_like",),
        },
    ),
    "sklearn": (
        "https://scikit-learn.org/stable",
        {
            "py:class modules/generated/{}.html#$": (
                "sklearn.frozen.FrozenEstimator",
                "sklearn.model_selection.GridSearchCV",
                "sklearn.model_selection.KFold",
                "sklearn.pipeline.Pipeline",
            ),
            "py:function modules/generated/{}.html#$": (
                "sklearn.base.clone",
                "sklearn.model_selection.cross_val_score",
            ),
        },
    ),
    "torch": (
        "https://docs.pytorch.org/docs/stable",
        {
            "py:class generated/{}.html#$": ("torch.nn.Linear", "torch.nn.Module"),
            "py:function generated/{}.html#$": ("torch.compile",),
            "py:class tensors.html#$": ("torch.Tensor",),
            "py:class tensor_attributes.html#$": ("torch.device", "torch.dtype"),
        },
    ),
    "skorch": (
        "https://skorch.readthedocs.io/en/stable",
        {
            "py:class net.html#$": ("skorch.net.NeuralNet",),
            "py:class callbacks.html#$": (
                "skorch.callbacks.EarlyStopping",
                "skorch.callbacks.TensorBoard",
            ),
            "py:class history.html#$": ("skorch.history.History",),
        },
    ),
    "transformers": (
        "https://huggingface.co/docs/transformers/main/en",
        {"py:class model_doc/auto#{}": ("transformers.AutoModel", "transformers.AutoTokenizer")},
    ),
}


def write(folder: Path) -> None:
    """Write an inventory for each project, as Sphinx reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    for project, (_, objects) in PROJECTS.items():
        lines = []
        for page, names in objects.items():
            kind, address = page.split(" ", 1)
            lines += [f"{name} {kind} 1 {address.format(name)} -\n" for name in names]
        header = f"# Sphinx inventory version 2\n# Project: {project}\n# Version: \n"
        header += "# The remainder of this file is compressed using zlib.\n"
        content = header.encode() + zlib.compress("".join(sorted(lines)).encode())
        file = folder / f"{project}.inv"
        # An unchanged file keeps its date, and pages that are up to date stay so.
        if not file.exists() or file.read_bytes() != content:
            file.write_bytes(content)
