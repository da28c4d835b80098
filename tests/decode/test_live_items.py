from __future__ import annotations

import pytest
import torch

from recsys.decode.legal import LegalSet
from recsys.decode.live_items import LiveItems
from recsys.types.context import Context
from tests.decode.table_generator import TableGenerator


@pytest.mark.parametrize("inclusive", [False, True])
def test_live_children_are_those_above_an_item_that_is_left(
    network: TableGenerator, requests: Context, restricted: Context, inclusive: bool
) -> None:
    trie, context = network.trie, restricted if inclusive else requests
    rows = torch.tensor([0, 3, 1, 2, 2])
    live = LiveItems.of(LegalSet.of(trie, context)).select(rows)
    allowed = ~context.illegal(trie.num_items)[rows]
    paths = trie.path(torch.arange(trie.num_items))
    for slot in range(3):
        for level in range(trie.depth):
            nodes = torch.arange(trie.level_size[level]).expand(len(rows), -1)
            found = live.live_children(nodes, level)
            children = trie.expand(nodes, level)
            below = torch.zeros(len(rows), trie.level_size[level + 1]).index_add_(1, paths[:, level], allowed.float())
            expected = (below.gather(1, children.nodes.flatten(1)).view(found.shape) > 0) & children.mask
            assert torch.equal(found, expected)
        placed = torch.stack([row.nonzero().flatten()[-1] for row in allowed])
        placed[0] = -1
        live = live.without(placed)
        for row, item in enumerate(placed.tolist()):
            if item >= 0 and allowed[row].sum() > 1:
                allowed[row, item] = False
        assert slot == 2 or allowed.any(1).all()
