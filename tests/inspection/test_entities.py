"""Sentences with their entities, as text and as HTML."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from muxlearn.inspection import EntityDisplay
from muxlearn.inspection._entities import _COLOURS, _colour

SENTENCES = [["Ada", "Lovelace", "was", "in", "Turin", "."], ["It", "rained"]]
TAGS = [["B-PER", "I-PER", "O", "O", "B-LOC", "O"], ["O", "O"]]
TRUE_TAGS = [["B-PER", "I-PER", "O", "O", "B-ORG", "O"], ["O", "O"]]
VOID = {"meta"}


class Reader(HTMLParser):
    """Reads HTML strictly: collects elements and text, and fails where tags do not match."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text, self.open = [], "", []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def luminance(colour):
    """Relative luminance as in WCAG 2.2."""
    channels = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


class Tagger(BaseEstimator):
    """Knows names by their capital; its probabilities favour the tag that it does not choose."""

    classes_ = np.array(["B-PER", "O"])

    def predict(self, X):
        return [["B-PER" if token.istitle() else "O" for token in row] for row in X]

    def predict_proba(self, X):
        return [
            np.array([[0.25, 0.75] if token.istitle() else [0.875, 0.125] for token in row])
            for row in X
        ]


# Text


def test_text_marks_whole_entities():
    display = EntityDisplay.from_predictions(SENTENCES, TAGS)
    assert str(display) == "[Ada Lovelace | PER] was in [Turin | LOC] .\nIt rained"
    assert repr(display) == str(display)


def test_text_marks_every_token_of_other_tags():
    display = EntityDisplay.from_predictions([["the", "cat"]], [["DT", "NN"]])
    assert str(display) == "[the | DT] [cat | NN]"


def test_one_tag_of_another_kind_makes_all_of_them_so():
    display = EntityDisplay.from_predictions([["the", "cat"]], [["B-NP", "NN"]])
    assert str(display) == "[the | B-NP] [cat | NN]"


def test_text_shows_errors_and_the_true_tags_below():
    display = EntityDisplay.from_predictions(SENTENCES, TAGS, true_tags=TRUE_TAGS)
    assert str(display).splitlines() == [
        "[Ada Lovelace | PER] was in [Turin | LOC ✗] .",
        "  true: [Ada Lovelace | PER] was in [Turin | ORG ✗] .",
        "It rained",
    ]


def test_an_entity_that_was_missed_shows_in_the_true_tags():
    display = EntityDisplay.from_predictions(
        [["in", "Turin"]], [["O"] * 2], true_tags=[["O", "B-X"]]
    )
    assert str(display) == "in Turin\n  true: in [Turin | X ✗]"


def test_long_lists_are_cut_short_where_they_show_themselves():
    display = EntityDisplay.from_predictions([["a"]] * 53, [["B-X"]] * 53)
    assert len(str(display).splitlines()) == 51
    assert "3 more" in str(display)
    assert len(Reader(display._repr_html_()).all("mark")) == 50
    assert len(Reader(display.to_html()).all("mark")) == 53


def test_empty_sentences_and_no_sentences_show_nothing():
    assert str(EntityDisplay.from_predictions([[], ["a"]], [[], ["O"]])) == "\na"
    assert str(EntityDisplay.from_predictions([], [])) == ""
    assert Reader(EntityDisplay.from_predictions([], []).to_html()).all("mark") == []


# HTML


@pytest.mark.parametrize("full_page", [False, True])
def test_html_says_what_text_says(full_page):
    display = EntityDisplay.from_predictions(SENTENCES, TAGS)
    reader = Reader(display.to_html(full_page=full_page))
    assert "Ada LovelacePER was in TurinLOC .\nIt rained" in reader.text
    assert len(reader.all("mark")) == 2
    assert len(reader.all("html")) == full_page


def test_html_has_no_scripts_and_loads_nothing():
    html = EntityDisplay.from_predictions(SENTENCES, TAGS).to_html(full_page=True)
    assert not re.search("<script|<link|http|url\\(|@import| on[a-z]+=", html)


def test_tokens_and_tags_are_escaped():
    evil = '<script>alert("&")</script>'
    display = EntityDisplay.from_predictions(
        [[evil, evil]], [["B-" + evil, "O"]], probabilities=[[0.5, 1]]
    )
    reader = Reader(display.to_html())
    assert reader.all("script") == []
    assert f"{evil}{evil} {evil}" in reader.text
    assert reader.all("mark")[0]["title"] == f"B-{evil}: p = 0.500"


def test_probabilities_are_tooltips_of_marks():
    probabilities = [[0.9, 0.8, 1, 1, 0.5, 1], [1, 1]]
    html = EntityDisplay.from_predictions(SENTENCES, TAGS, probabilities=probabilities).to_html()
    titles = [attributes["title"] for attributes in Reader(html).all("mark")]
    assert titles == ["B-PER: p = 0.900, I-PER: p = 0.800", "B-LOC: p = 0.500"]


def test_errors_are_dashed_and_explained():
    display = EntityDisplay.from_predictions(SENTENCES, TAGS, true_tags=TRUE_TAGS)
    reader = Reader(display.to_html())
    classes = [attributes.get("class") for attributes in reader.all("mark")]
    assert classes == [None, "wrong", None, "wrong"]
    assert "TurinLOC ✗" in reader.text
    assert "TurinORG ✗" in reader.text
    assert "differs from the true tags" in reader.text


def test_true_tags_have_no_probability():
    display = EntityDisplay.from_predictions(
        [["Ada"]], [["B-LOC"]], probabilities=[[0.9]], true_tags=[["B-PER"]]
    )
    titles = [attributes.get("title") for attributes in Reader(display.to_html()).all("mark")]
    assert titles == ["B-LOC: p = 0.900", None]


def test_without_errors_nothing_is_said_of_them():
    display = EntityDisplay.from_predictions(SENTENCES, TAGS, true_tags=TAGS)
    text = Reader(display.to_html()).text
    assert "✗" not in text
    assert "true" not in text


def test_a_type_has_its_colour_whatever_else_is_shown():
    first = EntityDisplay.from_predictions([["a", "b"]], [["B-PER", "B-LOC"]])
    second = EntityDisplay.from_predictions([["a"]], [["I-LOC"]])
    of_first, of_second = (Reader(d.to_html()).all("mark") for d in (first, second))
    assert of_first[1]["style"] == of_second[0]["style"]


@pytest.mark.parametrize(
    "types",
    [
        "PER LOC ORG MISC",
        "PERSON ORG GPE DATE CARDINAL NORP MONEY",
        "NOUN VERB ADJ ADV PROPN PRON DET ADP",
        "NP VP PP ADVP SBAR ADJP",
    ],
)
def test_usual_types_have_different_colours(types):
    colours = [_colour(label) for label in types.split()]
    assert len(set(colours)) == len(colours)


@pytest.mark.parametrize("colour", _COLOURS)
def test_labels_have_the_contrast_that_wcag_calls_enhanced(colour):
    assert (luminance(colour) + 0.05) / (luminance("#111111") + 0.05) >= 7


def test_saving_writes_the_page(tmp_path):
    display = EntityDisplay.from_predictions([["żółw", "\ud83d"]], [["B-X", "O"]])
    display.save(tmp_path / "tags.html")
    written = (tmp_path / "tags.html").read_text(encoding="utf-8")
    assert written == display.to_html(full_page=True).replace("\ud83d", "?")


# From an estimator


def test_an_estimator_gives_tags_and_their_probabilities():
    display = EntityDisplay.from_estimator(Tagger(), [["Ada", "ran"], []])
    assert str(display) == "[Ada | PER] ran\n"
    np.testing.assert_array_equal(display.probabilities[0], [0.25, 0.125])
    assert len(display.probabilities[1]) == 0


def test_probabilities_can_be_left_out():
    display = EntityDisplay.from_estimator(Tagger(), [["Ada"]], probabilities=False)
    assert display.probabilities is None


def test_true_tags_reach_the_display():
    display = EntityDisplay.from_estimator(Tagger(), [["Ada"]], true_tags=[["O"]])
    assert str(display) == "[Ada | PER ✗]\n  true: Ada"


# Errors


@pytest.mark.parametrize(
    ("args", "params", "error", "message"),
    [
        (("a b", [["O"]]), {}, TypeError, "`sentences` must be a list with a list of tokens"),
        ((["ab"], [["O"]]), {}, TypeError, "sentence 0 of `sentences`"),
        (([["a"]], []), {}, ValueError, "`sentences` has 1 sentences and `tags` has 0"),
        (([["a"]], [["O", "O"]]), {}, ValueError, "sentence 0 has length 1 in `sentences` and 2"),
        (([["a"]], [[1]]), {}, TypeError, "tag 0 of sentence 0 of `tags` must be a str"),
        (([["a"]], [["O"]]), {"true_tags": [[]]}, ValueError, "and 0 in `true_tags`"),
        (([["a"]], [["O"]]), {"probabilities": [[]]}, ValueError, "and 0 in `probabilities`"),
        (([["a"]], [["O"]]), {"probabilities": [[1.5]]}, ValueError, "sentence 0.* has 1.5"),
        (([["a"]], [["O"]]), {"probabilities": [[-0.5]]}, ValueError, "sentence 0.* has -0.5"),
        (([["a"]], [["O"]]), {"probabilities": [[np.nan]]}, ValueError, "sentence 0.* has nan"),
        (([["a"]], [["O"]]), {"probabilities": [[[1.0]]]}, ValueError, r"has shape \(1, 1\)"),
    ],
)
def test_what_does_not_fit_together_is_refused(args, params, error, message):
    with pytest.raises(error, match=message):
        EntityDisplay.from_predictions(*args, **params)


def test_a_path_that_is_none_is_refused():
    with pytest.raises(TypeError, match="`path`"):
        EntityDisplay.from_predictions([["a"]], [["O"]]).save(3)
