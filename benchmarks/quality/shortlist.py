"""What in-slate Thompson sampling loses when it acts on a shortlist, in a planted world.

python benchmarks/quality/shortlist.py [--users 200] [--seeds 3] [--write FILE]

What a slate model knows of the items is constructed, so that nothing depends on how a model was trained: each planted
vector was measured once, with an error of known deviation, under a normal prior as wide as the world. The same
posterior acts on the whole catalogue (a shortlist of everything) and on shortlists; what is lost is due to retrieval
alone.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.markdown import Markdown
from torch import Tensor

from recsys.models.slates.item_posterior import FlatItems
from recsys.models.slates.slate_model import SlateModel
from recsys.models.slates.user_state import GammaLinearUser
from recsys.nn.affinity import inner_product, negative_distance
from recsys.policies.bandits.thompson import InSlateThompson
from recsys.policies.retrieval_query import MeanQuery, UpperConfidenceQuery
from recsys.policies.two_stage import RETRIEVED, TwoStagePolicy
from recsys.policies.two_stage_posterior import InnerProductTwoStagePosterior, TwoStagePosterior
from recsys.retrieve.faiss import FaissIndex
from recsys.retrieve.index import ExactIndex, Index
from recsys.simulate.planted_groups import PlantedGroups
from recsys.types.context import Context
from recsys.types.jagged import Jagged

ITEMS, GROUPS, WIDTH, CLICKS, SLOTS, SLATES, POOL, BATCH = 10_000, 100, 8, 10, 5, 20, 128, 20
SIZES = (50, 100, 200, 500, 1000)
FACTORY, SEARCH = "IVF100,Flat", "nprobe=16"
Build = Callable[[Tensor], Index]


@dataclass(frozen=True)
class Case:
    """A world, what is known of its items, and how they are found.

    Args:
        posterior: what is known, in words.
        affinity: of the world and of the model.
        least: error in each direction of the best-measured item.
        most: of the worst; between the two the logarithm is uniform.
        retrieval: how items are found, in words.
        query: made from a model.
        build: an index of the query's vectors.
    """

    posterior: str
    affinity: Callable[[Tensor, Tensor], Tensor]
    least: float
    most: float
    retrieval: str
    query: Callable[[SlateModel], MeanQuery | UpperConfidenceQuery]
    build: Build


def cases() -> Iterator[Case]:
    """Both affinities under a narrow and a wide posterior, exactly and approximately, by the mean and by a bound."""
    for affinity, name in ((inner_product, "inner product"), (negative_distance, "distance")):

        def exact(vectors: Tensor, affinity: Callable[[Tensor, Tensor], Tensor] = affinity) -> Index:
            return ExactIndex(vectors, affinity)

        def approximate(vectors: Tensor, euclidean: bool = affinity is negative_distance) -> Index:
            return FaissIndex.build(vectors, FACTORY, SEARCH, euclidean)

        for width, least, most in (("narrow", 0.02, 0.1), ("wide", 0.05, 0.8)):
            known = f"{name}, {width}"
            yield Case(known, affinity, least, most, "mean, exact", MeanQuery, exact)
            yield Case(known, affinity, least, most, f"mean, {FACTORY}, {SEARCH}", MeanQuery, approximate)
            if affinity is inner_product:
                yield Case(known, affinity, least, most, "mean + 2 deviations, exact", UpperConfidenceQuery, exact)


def believed(world: PlantedGroups, case: Case, generator: torch.Generator) -> SlateModel:
    """The posterior of each number by itself: `N(y p² / (p² + e²), p² e² / (p² + e²))` for `y ~ N(truth, e²)`."""
    items = FlatItems(ITEMS, WIDTH)
    error = case.least * (case.most / case.least) ** torch.rand(ITEMS, 1, generator=generator)
    seen = world.items + error * torch.randn(ITEMS, WIDTH, generator=generator)
    prior = world.items.square().mean()
    kept = prior / (prior + error.square())
    with torch.no_grad():
        items.vectors.mean.copy_(kept * seen)
        items.vectors.log_deviation.copy_((kept.sqrt() * error).log().expand(-1, WIDTH))
    return SlateModel(items, GammaLinearUser(0.8), SLOTS, case.affinity).requires_grad_(False)


def play(world: PlantedGroups, users: int, generator: torch.Generator) -> tuple[Context, Tensor]:
    """Users after some clicks, each the best by taste and luck of a hundred items, and their true scores `[B, N]`."""
    state = world.reset(users, generator)
    hidden, clicked = state.hidden, []
    for _ in range(CLICKS):
        shown = torch.randint(ITEMS, (users, 100), generator=generator)
        scores = world.affinity(world.dynamics.position(hidden), world.items[shown])
        gumbel = -torch.empty_like(scores).exponential_(generator=generator).log()
        best = (scores + gumbel).argmax(1, keepdim=True)
        clicked.append(shown.gather(1, best).squeeze(1))
        yes = torch.ones_like(best, dtype=torch.bool)
        hidden = world.dynamics.move(hidden, world.items[clicked[-1]].unsqueeze(1), yes, yes)
    history = Jagged.from_rows(list(torch.stack(clicked, 1)))
    truth = world.affinity(world.dynamics.position(hidden), world.items)
    return Context(torch.arange(users), history, Jagged.empty(users)), truth


def posterior_of(model: SlateModel, size: int) -> TwoStagePosterior:
    """Over a shortlist of some size."""
    made = InnerProductTwoStagePosterior if model.affinity is inner_product else TwoStagePosterior
    return made(model, torch.Generator().manual_seed(1), size, POOL)


class Everything:
    """An index that finds the whole catalogue."""

    num_items = ITEMS

    def search(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """See `Index.search`; unsorted."""
        return torch.zeros(len(queries), k), torch.arange(k).expand(len(queries), -1)


def slates(policy: TwoStagePolicy, context: Context, seed: int) -> Tensor:
    """`[B, G, S]`, twenty users at once."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.arange(len(context)).split(BATCH)
    return torch.cat([policy.sample(context.select(some), SLATES, SLOTS, generator).items for some in rows])


def worth(items: Tensor, truth: Tensor) -> Tensor:
    """`[B]`, mean true score of a slot."""
    return truth.gather(1, items.flatten(1)).mean(1)


def measured(users: int, seed: int) -> Iterator[tuple[str, str, str, Tensor]]:
    """Posterior, retrieval, figure and its value for each user of one world."""
    exact: dict[str, Tensor] = {}
    for case in cases():
        generator = torch.Generator().manual_seed(seed)
        world = PlantedGroups(ITEMS, GROUPS, WIDTH, affinity=case.affinity, seed=seed)
        context, truth = play(world, users, generator)
        model = believed(world, case, generator)
        query = case.query(model)
        index = case.build(query.vectors())
        if case.posterior not in exact:
            whole = TwoStagePolicy(query, Everything(), ITEMS, InSlateThompson(posterior_of(model, ITEMS)))
            exact[case.posterior] = slates(whole, context, seed)
            again = slates(whole, context, seed + 1000)
            yield case.posterior, "", "worth", worth(exact[case.posterior], truth)
            yield case.posterior, "", "again", worth(again, truth) - worth(exact[case.posterior], truth)
            yield case.posterior, "", "best", truth.topk(SLOTS).values.mean(1)
            yield case.posterior, "", "random", truth.mean(1)
        for size in SIZES:
            short = TwoStagePolicy(query, index, size, InSlateThompson(posterior_of(model, size)))
            listed = short.requests(context).features[RETRIEVED]
            inside = (exact[case.posterior].flatten(1).unsqueeze(2) == listed.unsqueeze(1)).any(2)
            yield case.posterior, case.retrieval, f"outside {size}", 1 - inside.float().mean(1)
            lost = worth(exact[case.posterior], truth) - worth(slates(short, context, seed), truth)
            yield case.posterior, case.retrieval, f"lost {size}", lost


def interval(values: Tensor, sign: str = "") -> str:
    """Mean and 95 % interval, by the normal distribution.

    >>> interval(torch.tensor([1.0, 2.0, 3.0]))
    '2.000 [0.868, 3.132]'
    """
    mean, half = float(values.mean()), 1.96 * float(values.std()) / len(values) ** 0.5
    return f"{mean:{sign}.3f} [{mean - half:{sign}.3f}, {mean + half:{sign}.3f}]"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    head, *body = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body))


def page(found: dict[tuple[str, str], dict[str, Tensor]]) -> str:
    """Three tables."""
    whole = [["posterior", "exact sampling", "drawn again, difference", "best slate", "any items"]]
    outside = [["posterior", "retrieval", *map(str, SIZES)]]
    lost = [outside[0]]
    for (posterior, retrieval), figures in found.items():
        if not retrieval:
            cells = (interval(figures[name]) for name in ("worth", "best", "random"))
            mean, best, random = cells
            whole.append([posterior, mean, interval(figures["again"], "+"), best, random])
            continue
        outside.append([posterior, retrieval, *(interval(figures[f"outside {size}"]) for size in SIZES)])
        lost.append([posterior, retrieval, *(interval(figures[f"lost {size}"], "+") for size in SIZES)])
    return "\n\n".join(
        [
            "True score of a slot, mean over slates:",
            table(whole),
            "Share of the slots under exact sampling whose item the shortlist does not have, by its size:",
            table(outside),
            "True score lost a slot, exact sampling minus sampling from the shortlist:",
            table(lost),
        ]
    )


def main() -> None:
    """Print the tables; with `--write`, keep them with the commit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=200, help="of each world")
    parser.add_argument("--seeds", type=int, default=3, help="worlds")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    began, found = time.time(), {}
    for seed in range(given.seeds):
        for posterior, retrieval, figure, values in measured(given.users, seed):
            cells = found.setdefault((posterior, retrieval), {})
            cells[figure] = torch.cat([cells[figure], values]) if figure in cells else values
    text = page(found)
    Console(width=240).print(Markdown(text))
    print(f"{time.time() - began:.0f} s")
    if given.write:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        command = f"python benchmarks/quality/shortlist.py --users {given.users} --seeds {given.seeds}"
        told = (
            f"`{command}`, commit {commit.stdout.strip()}: in-slate Thompson sampling of {SLOTS} slots from {ITEMS:,} "
            f"planted items in {GROUPS} groups, D = {WIDTH}, for {given.users} users of each of {given.seeds} worlds "
            f"after {CLICKS} clicks, {SLATES} slates a user, pool {POOL}. The posterior was not trained: each vector "
            "was measured once with a normal error, whose deviation is from .02 to .1 (narrow) or .05 to .8 (wide) "
            "over items, uniform in its logarithm, under a normal prior as wide as the world's items; groups spread "
            "by .1, their centres lie at a radius of .1 to .8. "
            "Intervals 95 %, over users."
        )
        given.write.write_text(f"# The loss of a shortlist\n\n{told}\n\n{text}\n")


if __name__ == "__main__":
    main()
