"""The order of the gallery: from the first thing a reader wants to the last."""

from pathlib import Path

ORDER = (
    "plot_classify_texts",
    "plot_tradeoff",
    "plot_entities",
    "plot_ratings",
    "plot_several_labels",
    "plot_sentence_pairs",
    "plot_embed_texts",
    "plot_digits",
    "plot_complete_digits",
    "plot_cascade",
    "plot_csv_pipeline",
    "plot_interference",
    "plot_warm_up",
    "plot_callbacks",
    "plot_theory_capacity",
    "plot_theory_interference",
    "plot_theory_attention",
)


class Position:
    """Sorts scripts by their place in `ORDER`; a name that is not there is an error."""

    def __init__(self, source: str) -> None:
        self.source = source

    def __call__(self, file: str) -> int:
        """Return the place of a script."""
        name = Path(file).stem
        # Scripts that the gallery does not show are sorted all the same.
        return ORDER.index(name) if name.startswith("plot_") else len(ORDER)
