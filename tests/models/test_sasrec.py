from __future__ import annotations

import torch

from recsys.data.context import Context
from recsys.data.jagged import Jagged
from recsys.models.sasrec import SASRec
from recsys.nn.embedding import TorchrecEmbedding


def requests(*rows: list[int]) -> Context:
    return Context(torch.arange(len(rows)), Jagged.from_rows(rows), Jagged.empty(len(rows)))


def network(**options: object) -> SASRec:
    torch.manual_seed(0)
    return SASRec(num_items=10, width=8, heads=2, max_length=6, **options).eval()


def test_the_last_prefix_is_the_encoding() -> None:
    context = requests([1, 2, 3], [4], [5, 6])
    model = network()
    torch.testing.assert_close(model.encode(context), model.encode_prefixes(context)[[2, 3, 5]])


def test_row_t_has_seen_its_items_up_to_t_only() -> None:
    model = network()
    prefixes = model.encode_prefixes(requests([1, 2, 3, 4]))
    alone = torch.cat([model.encode(requests([1, 2, 3, 4][: t + 1])) for t in range(4)])
    torch.testing.assert_close(prefixes, alone)


def test_an_empty_history_gives_equal_logits() -> None:
    logits = network().item_logits(network().encode(requests([], [3])))
    assert logits[0].unique().numel() == 1
    assert logits[1].unique().numel() > 1


def test_only_empty_histories() -> None:
    assert network().encode(requests([], [])).shape == (2, 8)


def test_only_the_latest_items_are_read() -> None:
    model = network()
    long, cut = requests([9, 9, 1, 2, 3, 4, 5, 6]), requests([1, 2, 3, 4, 5, 6])
    torch.testing.assert_close(model.encode(long), model.encode(cut))


def test_input_and_output_share_one_table() -> None:
    model = network()
    states = model.encode(requests([1, 2]))
    torch.testing.assert_close(model.item_logits(states)[0, 7], states[0] @ model.embedding.weight("item")[7])
    assert sum(weight.numel() == 80 for weight in model.parameters()) == 1


def test_embedding_backends_agree() -> None:
    context = requests([1, 2, 3], [], [5, 6])
    ours, theirs = network(), network(embedding=TorchrecEmbedding)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(theirs.encode(context), ours.encode(context))
    torch.testing.assert_close(theirs.item_logits(theirs.encode(context)), ours.item_logits(ours.encode(context)))


def test_it_learns_a_cycle() -> None:
    torch.manual_seed(0)
    model = SASRec(num_items=6, width=16, layers=1, heads=2, max_length=12, dropout=0.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    context = requests([0, 1, 2, 3, 4, 5] * 2, [3, 4, 5, 0, 1, 2] * 2)
    for _ in range(60):
        states = Jagged(model.encode_prefixes(context), context.history.offsets)
        loss = torch.nn.functional.cross_entropy(
            model.item_logits(states.values[:-1]), (context.history.values[:-1] + 1) % 6
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert model.item_logits(model.encode(requests([4, 5, 0]))).argmax() == 1
