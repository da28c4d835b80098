"""In-slate Thompson sampling over the shortlist of an approximate index: what a draw costs as the catalogue grows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from harness import Result, alternate, compare, timed
from recsys.models.slates.item_posterior import FlatItems
from recsys.models.slates.slate_model import SlateModel
from recsys.models.slates.user_state import GammaLinearUser
from recsys.nn.affinity import inner_product
from recsys.policies.bandits.thompson import InSlateThompson
from recsys.policies.retrieval_query import MeanQuery
from recsys.policies.two_stage import RETRIEVED, TwoStagePolicy, items_at
from recsys.policies.two_stage_posterior import InnerProductTwoStagePosterior
from recsys.retrieve.faiss import FaissIndex
from recsys.retrieve.index import ExactIndex
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from thompson import repeated

USERS, SIZE, SLOTS, WIDTH, GROUPS, HISTORY, REPEATS = 32, 500, 10, 25, 300, 10, 5
# As many cells as the root of the number of items, as many probes as find RECALL of the true shortlists; a million
# vectors fit no cache, so that they are read as codes of four bits a number and the best of them read again.
CATALOGUES = {
    10_000: ("IVF100,Flat", "nprobe=48"),
    100_000: ("IVF316,Flat", "nprobe=32"),
    1_000_000: ("IVF1000,PQ25x4fs,RFlat", "nprobe=40,k_factor_rf=4"),
}
RECALL = 0.95
FLAT = 2.0


def run(rounds: int) -> list[Result]:
    """Search, posterior and slates of ten thousand items against the same of more."""
    calls, notes = {}, {}
    for num_items in CATALOGUES:
        calls[num_items], notes[num_items] = drawing(num_items)
    least, *larger = CATALOGUES
    sides = {"ours" if size == least else f"{size:,} items": repeated(call, REPEATS) for size, call in calls.items()}
    timings = alternate(sides, rounds)
    return [
        replace(
            compare(
                {name: timings[name] for name in ("ours", f"{size:,} items")},
                f"{size:,} items",
                benchmark="in-slate Thompson sampling",
                case=f"{USERS} users, a shortlist of {SIZE} found in {size:,} items against {least:,}",
                goal=FLAT if size == max(CATALOGUES) else None,
                checked=f"{REPEATS} batches; {notes[least]}; {notes[size]}",
            ),
            at_least=False,
        )
        for size in larger
    ]


def drawing(num_items: int) -> tuple[Callable[[], Tensor], str]:
    """What draws a slate for each of 32 users, and what its index is.

    Raises:
        AssertionError: the index finds less of the true shortlists than RECALL.
    """
    model, generator = slate_model(num_items), torch.Generator().manual_seed(0)
    query, posterior = MeanQuery(model), InnerProductTwoStagePosterior(model, generator, SIZE)
    factory, search = CATALOGUES[num_items]
    built: list[FaissIndex] = []
    seconds = timed(lambda: built.append(FaissIndex.build(query.vectors(), factory, search))).wall
    policy = InSlateThompson(posterior)
    shortlist = TwoStagePolicy(query, built[0], SIZE, policy)
    clicked = torch.randint(num_items, (USERS * HISTORY,), generator=generator)
    history = Jagged.from_lengths(clicked, torch.full((USERS,), HISTORY))
    context = Context(torch.arange(USERS), history, Jagged.empty(USERS))
    recall = found(shortlist, TwoStagePolicy(query, ExactIndex(query.vectors(), inner_product), SIZE, policy), context)
    if recall < RECALL:
        raise AssertionError(f"{factory} with {search} finds {recall:.3f} of the shortlists in {num_items:,} items")

    def draw() -> Tensor:
        asked = shortlist.requests(context)
        return items_at(asked.features[RETRIEVED], policy.draw(asked, SLOTS, generator))

    return draw, f"{num_items:,} items: {factory}, {search}, recall {recall:.3f}, built in {seconds:.1f} s"


def slate_model(num_items: int) -> SlateModel:
    """Items in groups, known to a tenth."""
    generator = torch.Generator().manual_seed(0)
    centres = 0.5 * torch.randn(GROUPS, WIDTH, generator=generator)
    group = torch.randint(GROUPS, (num_items,), generator=generator)
    items = FlatItems(num_items, WIDTH, deviation=0.1)
    with torch.no_grad():
        items.vectors.mean.copy_(centres[group] + 0.3 * torch.randn(num_items, WIDTH, generator=generator))
    return SlateModel(items, GammaLinearUser(), SLOTS, inner_product).requires_grad_(False)


def found(ours: TwoStagePolicy, exact: TwoStagePolicy, context: Context) -> float:
    """Share of the true shortlists that is in ours."""
    one, other = (each.requests(context).features[RETRIEVED] for each in (ours, exact))
    return (one.unsqueeze(2) == other.unsqueeze(1)).any(2).float().mean().item()
