"""Raw ids and indices."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invlightning.data.vocabulary import Vocabulary

IDS = st.one_of(
    st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=30),
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5), min_size=1, max_size=30
    ),
)


def as_column(ids):
    return np.array(ids, dtype=np.int64 if isinstance(ids[0], int) else object)


@settings(deadline=None, max_examples=60)
@given(IDS)
def test_fit_sorts_distinct_ids_and_decodes_back(ids):
    vocabulary, codes = Vocabulary.fit(as_column(ids))
    assert vocabulary.ids.tolist() == sorted(set(ids))
    assert codes.dtype == np.int32
    assert vocabulary.decode(codes).tolist() == ids
    assert vocabulary.encode(as_column(ids)).tolist() == codes.tolist()


@settings(deadline=None, max_examples=30)
@given(IDS, st.integers(1, 29))
def test_chunks_make_no_difference(ids, cut):
    whole, codes = Vocabulary.fit(as_column(ids))
    chunks = [chunk for chunk in (ids[:cut], ids[cut:]) if chunk]
    split, split_codes = Vocabulary.fit(pa.chunked_array([pa.array(chunk) for chunk in chunks]))
    assert split.ids.tolist() == whole.ids.tolist()
    assert split_codes.tolist() == codes.tolist()


def test_unused_categories_are_no_ids():
    column = pa.DictionaryArray.from_arrays(pa.array([2, 0, 2]), pa.array(["c", "b", "a"]))
    vocabulary, codes = Vocabulary.fit(column)
    assert vocabulary.ids.tolist() == ["a", "c"]
    assert codes.tolist() == [0, 1, 0]


def test_identity():
    vocabulary = Vocabulary.identity(4)
    assert len(vocabulary) == 4
    assert vocabulary.encode([3, 0]).tolist() == [3, 0]
    assert vocabulary.encode([3]).dtype == np.int64


def test_text_and_integers_find_each_other():
    numbers, _ = Vocabulary.fit(np.array([7, 12, 300]))
    words, _ = Vocabulary.fit(np.array(["7", "12", "x"]))
    assert numbers.encode(["12", "7"]).tolist() == [1, 0]
    assert words.encode([7, 12]).tolist() == [1, 0]
    assert numbers.encode("300").tolist() == [2]
    assert numbers.encode([]).tolist() == []


def test_unknown_ids_are_named():
    numbers, _ = Vocabulary.fit(np.array([7, 12]))
    message = (
        r"4 of 5 item ids are unknown \('1', 'x', '2', ...\): 2 items are known, for example 7"
    )
    with pytest.raises(ValueError, match=message):
        numbers.encode(["7", "1", "x", "2", "99999999999999999999"], name="item")
    words, _ = Vocabulary.fit(np.array(["b", "a"]))
    with pytest.raises(ValueError, match=r"1 of 1 user ids are unknown \(5\).* for example 'a'"):
        words.encode(5)


def test_decode_keeps_the_shape_and_refuses_other_indices():
    words, _ = Vocabulary.fit(np.array(["b", "a"]))
    assert words.decode(torch.tensor([[1, 0]])).tolist() == [["b", "a"]]
    for wrong in ([-1], [2]):
        with pytest.raises(IndexError, match=r"must lie in 0\.\.1"):
            words.decode(wrong)


@pytest.mark.parametrize("ids", [[5, -3], ["", "aé", "\U0001f9e5"], [""]])
def test_state_survives_safe_loading(ids, tmp_path):
    vocabulary, _ = Vocabulary.fit(as_column(ids))
    torch.save(vocabulary.state_dict(), tmp_path / "ids.pt")
    state = torch.load(tmp_path / "ids.pt", weights_only=True)
    again = Vocabulary.from_state_dict(state)
    assert again.ids.tolist() == vocabulary.ids.tolist() == sorted(ids)
    assert again.encode(as_column(ids)).tolist() == vocabulary.encode(as_column(ids)).tolist()


def test_take_keeps_the_order():
    assert Vocabulary.identity(9).take(np.array([2, 5])).encode([5]).tolist() == [1]
