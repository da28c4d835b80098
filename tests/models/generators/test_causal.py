from __future__ import annotations

import math

import pytest
import torch

from recsys.data.datasets.prefixes import prefix_rows, prefixes
from recsys.items.trie import Trie
from recsys.models.generators.causal import CausalGenerator
from recsys.models.generators.generator import Generator
from recsys.models.generators.history_encoder import HistoryEncoder
from recsys.nn.embedding import TorchEmbedding, TorchrecEmbedding
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from tests.decode.table_generator import ragged_codes
from tests.tiny import tiny_bundle, tiny_generator

ITEMS = 30
EVERY = torch.arange(ITEMS)


def requests(*rows: list[int]) -> Context:
    return Context(torch.arange(len(rows)), Jagged.from_rows(rows), Jagged.empty(len(rows)))


BATCH = requests([1, 2, 3], [], [7], [4, 4, 5, 29])


def network(levels: int = 3, embedding: type[TorchEmbedding | TorchrecEmbedding] = TorchEmbedding) -> CausalGenerator:
    """Nodes of unlike numbers of children, no parameter at zero."""
    codes = ragged_codes(ITEMS, levels, 5 if levels > 2 else 6)
    torch.manual_seed(0)
    model = CausalGenerator(
        Trie.from_codes(codes), codes, HistoryEncoder(8, 2, 2, 0.0, 7), max_length=6, initial=0.7, embedding=embedding
    )
    for free in model.node:
        torch.nn.init.normal_(free)
    return model.double().eval()


@pytest.fixture(params=[1, 2, 3], ids="levels={}".format)
def model(request: pytest.FixtureRequest) -> CausalGenerator:
    if request.param > 1:
        return network(request.param)
    codes = torch.randperm(ITEMS).unsqueeze(1)
    torch.manual_seed(0)
    return CausalGenerator(Trie.from_codes(codes), codes, HistoryEncoder(8, 2, 2, 0.0, 7), max_length=6).double().eval()


@torch.no_grad()
def by_hand(model: CausalGenerator, memory_row: torch.Tensor) -> list[float]:
    """Every item's log-probability from the formula: a softmax over siblings at each level, node by node."""
    codes = model.codes.tolist()
    table = model.embedding.weight("item")
    vectors = [
        table[item] + sum(model.embedding.weight(f"code_{at}")[code] for at, code in enumerate(row[:-1]))
        for item, row in enumerate(codes)
    ]
    prefixes_of = [sorted({tuple(row[: level + 1]) for row in codes}) for level in range(len(codes[0]))]

    def vector(node: tuple[int, ...]) -> torch.Tensor:
        below = torch.stack([vectors[item] for item, row in enumerate(codes) if tuple(row[: len(node)]) == node])
        if len(node) == len(codes[0]):
            return below[0]
        level = len(node) - 1
        return below.mean(0) + model.node[level][prefixes_of[level].index(node)]

    logits = {node: float(vector(node) @ memory_row) for level in prefixes_of for node in level}
    scores = []
    for row in codes:
        total = 0.0
        for level in range(len(row)):
            node = tuple(row[: level + 1])
            siblings = [other for other in prefixes_of[level] if other[:-1] == node[:-1]]
            total += logits[node] - math.log(sum(math.exp(logits[other]) for other in siblings))
        scores.append(total)
    return scores


def test_the_formula_by_hand(model: CausalGenerator) -> None:
    memory = model.encode(BATCH)
    expected = torch.tensor([by_hand(model, state) for state in memory.states], dtype=torch.float64)
    torch.testing.assert_close(model.catalogue_log_prob(memory), expected)
    assert model.catalogue_log_prob(memory).exp().sum(1).tolist() == pytest.approx([1.0] * 4)


@pytest.mark.parametrize("dense", [True, False])
def test_whole_levels_gathered_children_and_the_generic_walk_agree(
    model: CausalGenerator, dense: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = model.encode(BATCH)
    catalogue = Generator.catalogue_log_prob(model, memory)
    paths = Generator.path_log_prob(model, memory, EVERY.expand(4, -1))
    monkeypatch.setattr(model, "_dense_is_cheaper", lambda gathered, level: dense)
    torch.testing.assert_close(model.catalogue_log_prob(memory), catalogue)
    torch.testing.assert_close(Generator.catalogue_log_prob(model, memory), catalogue)
    torch.testing.assert_close(model.path_log_prob(memory, EVERY.expand(4, -1)), paths)
    torch.testing.assert_close(paths.sum(-1), catalogue)
    few = torch.tensor([[3, 3], [0, 29], [17, 4], [29, 1]])
    torch.testing.assert_close(model.path_log_prob(memory, few).sum(-1), catalogue.gather(1, few))


def test_dense_and_gathered_carry_the_same_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    gradients = []
    for dense in (True, False):
        model = network()
        monkeypatch.setattr(model, "_dense_is_cheaper", lambda gathered, level, dense=dense: dense)
        model.path_log_prob(model.encode(BATCH), EVERY[:4].unsqueeze(1)).sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for dense, gathered in zip(*gradients, strict=True):
        torch.testing.assert_close(dense, gathered)


def test_every_prefix_in_one_pass_equals_each_alone() -> None:
    model, sequences = network(), requests([1, 2, 3, 4], [9, 8], [5])
    memory = model.select(model.encode_prefixes(sequences), prefix_rows(sequences))
    alone = model.encode(prefixes(sequences, repeats=False).context)
    torch.testing.assert_close(memory.states, alone.states)


def test_items_enter_the_history_root_width_times_as_long() -> None:
    model, context = network(), requests([1, 2, 3], [4])
    vectors = model.item_vectors()[context.history.values]
    expected = model.encoder(Jagged(vectors * math.sqrt(8), context.history.offsets))
    torch.testing.assert_close(model.encode_prefixes(context).states, expected)


def test_the_last_prefix_is_the_encoding() -> None:
    model = network()
    context = requests([1, 2, 3], [4], [5, 6])
    torch.testing.assert_close(model.encode(context).states, model.encode_prefixes(context).states[[2, 3, 5]])


def test_an_empty_history_knows_the_tree_alone() -> None:
    """The state is 0, so that siblings are equally probable."""
    model = network()
    scores = model.catalogue_log_prob(model.encode(requests([], [1])))
    children = [model.trie.first_child(level).diff().double() for level in range(3)]
    parents = [model.trie.root(1).expand(ITEMS, 1), *model.trie.path(EVERY).split(1, 1)]
    expected = -sum(children[level][parents[level].squeeze(1)].log() for level in range(3))
    torch.testing.assert_close(scores[0], expected)
    assert (scores[1] - expected).abs().max() > 0.1
    assert model.rows(model.encode(requests([], []))) == 2


def test_only_the_latest_items_are_read() -> None:
    model = network()
    long, short = model.encode(requests([9, 9, 1, 2, 3, 4, 5, 6])), model.encode(requests([1, 2, 3, 4, 5, 6]))
    torch.testing.assert_close(long.states, short.states)
    assert (model.encode(requests([9, 2, 3, 4, 5, 6])).states - short.states).abs().max() > 1e-3


def test_rows_do_not_see_one_another() -> None:
    model = network()
    together = model.catalogue_log_prob(model.encode(BATCH))
    for row in range(4):
        alone = BATCH.select(torch.tensor([row]))
        torch.testing.assert_close(together[row], model.catalogue_log_prob(model.encode(alone))[0])


def test_selected_memory_scores_the_rows_named() -> None:
    model = network()
    memory, rows = model.encode(BATCH), torch.tensor([3, 0, 3])
    selected = model.catalogue_log_prob(model.select(memory, rows))
    torch.testing.assert_close(selected, model.catalogue_log_prob(memory)[rows])


def test_embedding_backends_agree() -> None:
    ours, theirs = network(), network(embedding=TorchrecEmbedding)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(
        theirs.catalogue_log_prob(theirs.encode(BATCH)), ours.catalogue_log_prob(ours.encode(BATCH))
    )


def test_items_share_the_rows_of_their_codes_but_the_last() -> None:
    model = tiny_generator()
    tables = {name: weight.shape for name, weight in model.named_parameters() if name.startswith("embedding")}
    assert sorted(shape[0] for shape in tables.values()) == [4, 20]
    moved = model.item_vectors().detach().clone()
    with torch.no_grad():
        model.embedding.weight("code_0")[1] += 1
    changed = (model.item_vectors() - moved).abs().sum(1) > 1e-6
    assert changed.nonzero().flatten().tolist() == list(range(5, 10))


def test_from_a_bundle() -> None:
    model = tiny_generator(max_length=5)
    torch.testing.assert_close(model.codes, tiny_bundle().semantic_ids.codes)
    assert model.trie.num_items == 20
    assert model.encode_prefixes(requests([1, 2, 3, 4, 5, 6])).states.shape == (6, 8)
