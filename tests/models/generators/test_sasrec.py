from __future__ import annotations

import torch

from recsys.models.generators.history_encoder import HistoryEncoder
from recsys.models.generators.sasrec import SASRec
from recsys.nn.embedding import TorchEmbedding, TorchrecEmbedding
from recsys.types.context import Context
from recsys.types.jagged import Jagged


def requests(*rows: list[int]) -> Context:
    return Context(torch.arange(len(rows)), Jagged.from_rows(rows), Jagged.empty(len(rows)))


def network(embedding: type[TorchEmbedding | TorchrecEmbedding] = TorchEmbedding, num_items: int = 10) -> SASRec:
    torch.manual_seed(0)
    return SASRec(num_items, HistoryEncoder(8, 2, 2, 0.0, 7), max_length=6, embedding=embedding).eval()


def log_prob(model: SASRec, *rows: list[int]) -> torch.Tensor:
    return model.catalogue_log_prob(model.encode(requests(*rows)))


def test_one_softmax_over_all_items_with_the_table_shared() -> None:
    model = network()
    memory = model.encode(requests([1, 2]))
    expected = torch.log_softmax(memory.states @ model.embedding.weight("item").T, -1)
    torch.testing.assert_close(model.catalogue_log_prob(memory), expected)
    assert sum(weight.numel() == 80 for weight in model.parameters()) == 1


def test_the_last_prefix_is_the_encoding() -> None:
    context = requests([1, 2, 3], [4], [5, 6])
    model = network()
    torch.testing.assert_close(model.encode(context).states, model.encode_prefixes(context).states[[2, 3, 5]])


def test_row_t_has_seen_its_items_up_to_t_only() -> None:
    model = network()
    prefixes = model.encode_prefixes(requests([1, 2, 3, 4])).states
    alone = torch.cat([model.encode(requests([1, 2, 3, 4][: t + 1])).states for t in range(4)])
    torch.testing.assert_close(prefixes, alone)


def test_an_empty_history_gives_equal_probabilities() -> None:
    scores = log_prob(network(), [], [3])
    assert scores[0].unique().numel() == 1
    assert scores[1].unique().numel() > 1


def test_only_the_latest_items_are_read() -> None:
    model = network()
    torch.testing.assert_close(log_prob(model, [9, 9, 1, 2, 3, 4, 5, 6]), log_prob(model, [1, 2, 3, 4, 5, 6]))


def test_embedding_backends_agree() -> None:
    ours, theirs = network(), network(TorchrecEmbedding)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(log_prob(theirs, [1, 2, 3], [], [5, 6]), log_prob(ours, [1, 2, 3], [], [5, 6]))


def test_it_learns_a_cycle() -> None:
    model = network(num_items=6).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    context = requests([0, 1, 2, 3, 4, 5], [3, 4, 5, 0, 1, 2])
    for _ in range(60):
        memory = model.encode_prefixes(context)
        loss = -model.path_log_prob(memory, (context.history.values[:, None] + 1) % 6).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert log_prob(model, [4, 5, 0]).argmax() == 1
