from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from recsys.errors import ConfigurationError
from recsys.nn.affinity import inner_product, negative_distance
from recsys.retrieve.faiss import FaissIndex
from recsys.retrieve.index import ExactIndex, Index

ITEMS, WIDTH, QUERIES = 300, 6, 40
VECTORS = torch.randn(ITEMS, WIDTH, generator=torch.Generator().manual_seed(0))
ASKED = torch.randn(QUERIES, WIDTH, generator=torch.Generator().manual_seed(1))
AFFINITIES = {False: inner_product, True: negative_distance}
either = pytest.mark.parametrize("euclidean", [False, True], ids=["inner_product", "distance"])


@pytest.mark.parametrize("block", [1, 7, ITEMS, 10 * ITEMS])
@either
def test_exact_search_is_a_sort_whatever_the_block(euclidean: bool, block: int) -> None:
    affinity = AFFINITIES[euclidean]
    scores, items = ExactIndex(VECTORS, affinity, block).search(ASKED, 9)
    expected = affinity(ASKED, VECTORS).sort(1, descending=True)
    torch.testing.assert_close(scores, expected.values[:, :9])
    assert torch.equal(items, expected.indices[:, :9])


@either
def test_flat_search_by_faiss_is_exact(euclidean: bool) -> None:
    scores, items = FaissIndex.build(VECTORS, "Flat", euclidean=euclidean).search(ASKED, 12)
    expected, same = ExactIndex(VECTORS, AFFINITIES[euclidean]).search(ASKED, 12)
    assert torch.equal(items, same)
    torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("factory", "little", "much"), [("HNSW8", "efSearch=2", "efSearch=300"), ("IVF16,Flat", "nprobe=1", "nprobe=16")]
)
@either
def test_a_harder_search_finds_what_is_there(factory: str, little: str, much: str, euclidean: bool) -> None:
    _, best = ExactIndex(VECTORS, AFFINITIES[euclidean]).search(ASKED, 5)
    shares = []
    for search in (little, much):
        scores, items = FaissIndex.build(VECTORS, factory, search, euclidean).search(ASKED, 5)
        torch.testing.assert_close(
            scores[items >= 0], AFFINITIES[euclidean](ASKED, VECTORS).gather(1, items.clamp(min=0))[items >= 0]
        )
        shares.append((items.unsqueeze(2) == best.unsqueeze(1)).any(2).float().mean().item())
    assert shares[0] < shares[1] and shares[1] > 0.98


KINDS: dict[str, Callable[[], Index]] = {
    "exact": lambda: ExactIndex(VECTORS[:4], negative_distance),
    "faiss": lambda: FaissIndex.build(VECTORS[:4], "Flat", euclidean=True),
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_what_is_not_there_is_no_item(make: Callable[[], Index]) -> None:
    index = make()
    assert isinstance(index, Index) and index.num_items == 4
    scores, items = index.search(ASKED, 6)
    assert (items[:, 4:] == -1).all() and scores[:, 4:].isneginf().all()
    assert (items[:, :4].sort(1).values == torch.arange(4)).all() and scores[:, :4].isfinite().all()
    assert (scores[:, :3] >= scores[:, 1:4]).all()
    scores, items = index.search(ASKED[:0], 2)
    assert scores.shape == items.shape == (0, 2)


def test_an_index_is_kept_in_a_file(tmp_path: Path) -> None:
    made = FaissIndex.build(VECTORS, "IVF4,Flat", "nprobe=2", euclidean=True)
    made.save(tmp_path / "index.faiss")
    assert [path.name for path in tmp_path.iterdir()] == ["index.faiss"]
    read = FaissIndex.load(tmp_path / "index.faiss", "nprobe=2")
    assert read.num_items == ITEMS
    for one, other in zip(made.search(ASKED, 5), read.search(ASKED, 5), strict=True):
        assert torch.equal(one, other)


def test_an_unknown_index_or_setting_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="factory='Flatt'"):
        FaissIndex.build(VECTORS, "Flatt")
    with pytest.raises(ConfigurationError, match=r"search='nprobe=4'.*efSearch"):
        FaissIndex.build(VECTORS, "HNSW8", "nprobe=4")


def test_without_faiss_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ConfigurationError, match=r"recsys\[cpu\]"):
        FaissIndex.build(VECTORS)


EQUAL: dict[str, Callable[[torch.Tensor], Index]] = {
    "exact": lambda vectors: ExactIndex(vectors, inner_product),
    "exact by distance": lambda vectors: ExactIndex(vectors, negative_distance),
    "exact in blocks": lambda vectors: ExactIndex(vectors, inner_product, block=7),
    "faiss": lambda vectors: FaissIndex.build(vectors, "Flat"),
    "faiss graph": lambda vectors: FaissIndex.build(vectors, "HNSW16", "efSearch=400", euclidean=True),
}


@pytest.mark.parametrize("make", EQUAL.values(), ids=EQUAL)
def test_which_of_equal_items_are_found_has_nothing_to_do_with_their_numbers(
    make: Callable[[torch.Tensor], Index],
) -> None:
    """The mean number of 100 random ones of 300 has standard error 7.1; the first or last 100 are 100 away.

    Two items that are better come first all the same, and the answer does not depend on the queries beside it.
    """
    vectors = torch.ones(ITEMS, WIDTH)
    vectors[[5, 290]] *= 1.5
    index, asked = make(vectors), 2.0 * torch.ones(3, WIDTH)
    scores, items = index.search(asked, 102)
    assert (scores[:, :2] > scores[:, 2:3]).all() and {frozenset(row) for row in items[:, :2].tolist()} == {
        frozenset({5, 290})
    }
    assert (items == items[0]).all() and torch.equal(index.search(asked[:1], 102)[1], items[:1])
    others = items[0, 2:]
    assert others.unique().numel() == 100
    assert abs(others.double().mean() - (ITEMS - 1) / 2) < 4 * 7.1
    assert abs(others[:20].double().mean() - (ITEMS - 1) / 2) < 4 * 18.7
