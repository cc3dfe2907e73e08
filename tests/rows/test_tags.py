import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxlearn.rows._lengths import check_same_lengths
from muxlearn.rows._tags import (
    are_entity_tags,
    check_sequences,
    check_tags_fit,
    end_mask,
    entity_spans,
    find_spans,
    n_illegal_steps,
    start_mask,
    tag_scheme,
    transition_mask,
)

IOB2 = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
IOBES = [*IOB2, "E-PER", "S-PER", "E-LOC", "S-LOC"]
BILOU = [tag.replace("E-", "L-").replace("S-", "U-") for tag in IOBES]
IOE2 = ["O", "I-PER", "E-PER", "I-LOC", "E-LOC"]
INVENTORIES = {"IOB2": IOB2, "IOE2": IOE2, "IOBES": IOBES, "BILOU": BILOU}


def rows_of(tags, max_size=8):
    return st.lists(st.lists(st.sampled_from(tags), max_size=max_size), max_size=4)


def write(spans, n_tokens, scheme):
    """Tags that stand for some entities, written from the definition of each scheme."""
    tags = ["O"] * n_tokens
    for start, stop, kind in spans:
        inner, last, single = {
            "IOB2": "IIB",
            "IOE2": "IEE",
            "IOBES": "IES",
            "BILOU": "ILU",
        }[scheme]
        first = "I" if scheme == "IOE2" else "B"
        prefixes = first + inner * (stop - start - 2) + last if stop - start > 1 else single
        tags[start:stop] = [f"{prefix}-{kind}" for prefix in prefixes]
    return tags


@st.composite
def spans_of_a_sentence(draw):
    """Entities that do not overlap, and a number of tokens."""
    spans, at = [], 0
    for gap, length, kind in draw(
        st.lists(
            st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from(["PER", "LOC"])),
            max_size=5,
        )
    ):
        spans.append((at + gap, at + gap + length, kind))
        at += gap + length
    return spans, at + draw(st.integers(0, 2))


# Inventories


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        (IOB2, "IOB2"),
        (IOBES, "IOBES"),
        (["B-X"], "IOB2"),
        (["S-X", "O"], "IOBES"),
        (["O", "B-X", "E-X"], "IOBES"),
        (["B-a-b", "I-a-b"], "IOB2"),
    ],
)
def test_entity_tags_have_a_scheme(tags, scheme):
    assert tag_scheme(tags) == scheme


@pytest.mark.parametrize(
    "tags",
    [
        [],
        ["O"],
        ["NN", "VB", "O"],
        ["NP-TL", "B-X"],
        ["B-X", "NN"],
        ["B", "I", "O"],
        ["B-", "O"],
        ["-X", "B-X"],
        ["b-X", "O"],
        BILOU,
    ],
)
def test_other_tags_have_none(tags):
    assert tag_scheme(tags) is None


@pytest.mark.parametrize(
    "tags",
    [
        ["O", "I-PER", "I-LOC", "B-LOC"],  # IOB1
        ["O", "I-PER", "E-PER"],  # IOE2
        ["O", "B-PER", "I-PER", "E-PER", "S-PER", "B-LOC"],
        ["O", "B-PER", "E-PER", "S-LOC", "E-LOC"],
    ],
)
def test_a_type_that_could_not_begin_or_end_rules_a_scheme_out(tags):
    assert tag_scheme(tags) is None


def test_every_type_of_a_scheme_that_is_found_can_be_predicted():
    for tags in (IOB2, IOBES):
        steps = transition_mask(tags, tag_scheme(tags))
        starts, ends = start_mask(tags, tag_scheme(tags)), end_mask(tags, tag_scheme(tags))
        reach = np.linalg.matrix_power(steps.astype(int), len(tags)) > 0
        assert (starts @ reach).all()
        assert (reach @ ends).all()


def test_stray_tags_are_entity_tags_too():
    assert are_entity_tags(["I-PER", "O"])
    assert not are_entity_tags(["O"])
    assert not are_entity_tags(["I-PER", "NN"])


# Legal steps


@pytest.mark.parametrize(
    ("before", "after", "legal"),
    [
        ("O", "I-PER", False),
        ("B-PER", "I-PER", True),
        ("I-PER", "I-PER", True),
        ("B-LOC", "I-PER", False),
        ("I-PER", "B-LOC", True),
        ("B-PER", "O", True),
    ],
)
def test_steps_of_iob2(before, after, legal):
    mask = transition_mask(IOB2, "IOB2")
    assert mask[IOB2.index(before), IOB2.index(after)] == legal


@pytest.mark.parametrize(
    ("before", "after", "legal"),
    [
        ("O", "I-PER", False),
        ("O", "E-PER", False),
        ("B-PER", "O", False),
        ("B-PER", "E-PER", True),
        ("B-PER", "B-PER", False),
        ("I-PER", "E-LOC", False),
        ("E-PER", "S-LOC", True),
        ("S-PER", "E-PER", False),
    ],
)
def test_steps_of_iobes(before, after, legal):
    mask = transition_mask(IOBES, "IOBES")
    assert mask[IOBES.index(before), IOBES.index(after)] == legal


def test_starts_and_ends():
    assert [tag[0] for tag, may in zip(IOBES, start_mask(IOBES, "IOBES"), strict=True) if may] == [
        *"OBBSS"
    ]
    assert [tag[0] for tag, may in zip(IOBES, end_mask(IOBES, "IOBES"), strict=True) if may] == [
        *"OESES"
    ]
    assert end_mask(IOB2, "IOB2").all()


def test_without_a_scheme_all_steps_are_legal_for_any_tags():
    tags = ["NN", "VB"]
    assert transition_mask(tags, None).all()
    assert start_mask(tags, None).all()
    assert end_mask(tags, None).all()


@pytest.mark.parametrize("scheme", INVENTORIES)
@given(sentence=spans_of_a_sentence())
def test_what_is_written_by_the_rules_breaks_none(scheme, sentence):
    assert n_illegal_steps([write(*sentence, scheme)], scheme) == 0


@pytest.mark.parametrize("scheme", INVENTORIES)
@given(data=st.data())
def test_what_breaks_no_rule_loses_no_token(scheme, data):
    tags = data.draw(st.lists(st.sampled_from(INVENTORIES[scheme]), max_size=5))
    covered = sum(stop - start for start, stop, _ in entity_spans(tags, scheme))
    is_complete = covered == sum(tag != "O" for tag in tags)
    assert is_complete == (n_illegal_steps([tags], scheme) == 0)


def test_iob1_betrays_itself_by_its_steps():
    iob1 = [["I-PER", "I-PER", "O"], [], ["I-LOC", "B-LOC"], ["B-PER", "I-PER"]]
    assert tag_scheme({tag for row in iob1 for tag in row}) == "IOB2"
    assert n_illegal_steps(iob1, "IOB2") == 2


def test_masks_refuse_tags_of_another_scheme():
    with pytest.raises(ValueError, match=r"the inventory has the tag 'E-PER'.*'IOBES'"):
        transition_mask(IOBES, "IOB2")


# Entities


@pytest.mark.parametrize("scheme", INVENTORIES)
@given(sentence=spans_of_a_sentence())
def test_what_is_written_is_read(scheme, sentence):
    spans, n_tokens = sentence
    assert entity_spans(write(spans, n_tokens, scheme), scheme) == spans


@pytest.mark.parametrize("scheme", ["IOB2", "IOBES"])
@given(sentence=spans_of_a_sentence())
def test_what_is_well_formed_needs_no_scheme_to_be_read(scheme, sentence):
    spans, n_tokens = sentence
    assert entity_spans(write(spans, n_tokens, scheme)) == spans


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        (["O", "I-X", "I-Y"], [(1, 2, "X"), (2, 3, "Y")]),
        (["I-X", "B-X", "I-X"], [(0, 1, "X"), (1, 3, "X")]),
        (["B-X", "E-X", "E-X"], [(0, 2, "X"), (2, 3, "X")]),
        (["S-X", "I-X"], [(0, 1, "X"), (1, 2, "X")]),
        (["B", "I", "O"], [(0, 2, "_")]),
        (["O"], []),
        ([], []),
    ],
)
def test_ill_formed_tags_are_entities_without_a_scheme(tags, spans):
    assert entity_spans(tags) == spans


@pytest.mark.parametrize("scheme", [None, "IOBES"])
@given(rows=rows_of(IOBES))
def test_many_sentences_are_read_like_each_of_them(scheme, rows):
    spans = find_spans(rows, scheme)
    offsets = np.cumsum([0, *map(len, rows)])
    expected = [
        (start + offset, stop + offset, kind)
        for row, offset in zip(rows, offsets, strict=False)
        for start, stop, kind in entity_spans(row, scheme)
    ]
    kinds = [spans.kinds[kind] for kind in spans.kind]
    assert list(zip(spans.start.tolist(), spans.stop.tolist(), kinds, strict=True)) == expected


# Checks


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ("O O", TypeError, "`y` must be a list with a list of tags for each sentence, got str"),
        (3, TypeError, "`y` must be a list"),
        (np.ma.masked, TypeError, "`y` must be a list"),
        ([["O"], np.array("O")], TypeError, "sentence 1 of `y` must be a list of tags"),
        ([["O"], "O"], TypeError, r"sentence 1 of `y` must be a list of tags, got 'O' \(str\)"),
        ([["O"], None], TypeError, "sentence 1 of `y`"),
        ([["O", 1]], TypeError, r"tag 1 of sentence 0 of `y` must be a str, got 1 \(int\)"),
        ([["O"], ["O", float("nan")]], ValueError, "tag 1 of sentence 1 of `y` is missing"),
    ],
)
def test_what_is_no_list_of_lists_of_str_is_refused(rows, error, message):
    with pytest.raises(error, match=message):
        check_sequences(rows, "y")


def test_whatever_holds_strings_is_made_lists():
    rows = (np.array(["O", "B-X"]), ("O",), iter(["O"]))
    assert check_sequences(rows, "y") == [["O", "B-X"], ["O"], ["O"]]


def test_different_lengths_are_refused_by_sentence():
    with pytest.raises(ValueError, match="`a` has 2 sentences and `b` has 1"):
        check_same_lengths([[], []], [[]], ("a", "b"))
    with pytest.raises(ValueError, match="sentence 1 has length 0 in `a` and 2 in `b`"):
        check_same_lengths([["O"], []], [["O"], ["O", "O"]], ("a", "b"))


def test_a_tag_outside_the_scheme_is_refused_by_sentence():
    check_tags_fit([["O"], ["B-X"]], "IOB2", "y")
    with pytest.raises(ValueError, match=r"sentence 1 of `y` has the tag 'L-X'.*'BILOU'"):
        check_tags_fit([["O"], ["L-X"]], "IOB2", "y")
