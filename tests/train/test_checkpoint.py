from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import torch
from omegaconf import OmegaConf

from recsys.data.context import Context
from recsys.data.jagged import Jagged
from recsys.data.slates import Slates
from recsys.errors import RequestError
from recsys.policies.policy import ItemPolicy
from recsys.train.checkpoint import Checkpoint
from recsys.train.compose import compose
from recsys.train.run import train
from tests.tables import write_tables


class Echo(ItemPolicy):
    """The last item of the history, almost surely; remembers what it was asked."""

    def __init__(self, num_items: int) -> None:
        super().__init__()
        self.num_items = num_items
        self.asked: list[Context] = []

    def catalogue_log_prob(self, context: Context) -> torch.Tensor:
        self.asked.append(context)
        score = torch.zeros(len(context), self.num_items)
        score[torch.arange(len(context)), [int(row[-1]) for row in _rows(context.history)]] = 40.0
        return score.log_softmax(-1)


def _rows(rows: Jagged) -> list[torch.Tensor]:
    return list(rows.values.split(rows.lengths.tolist()))


def test_world_items_are_those_of_the_run_by_their_ids(generator: torch.Generator) -> None:
    policy = Echo(3)
    found = Checkpoint(policy, torch.tensor([4, 0, 2]), num_items=6)
    excluded, candidates = Jagged.from_rows([[1, 2]]), Jagged.from_rows([[5, 4, 0]])
    context = Context(torch.tensor([7]), Jagged.from_rows([[1, 4, 3, 0, 5]]), excluded, candidates=candidates)
    slates = found.sample(context, 1, 1, generator)
    assert slates.items.tolist() == [[[0]]], "world item 5 is unknown to the run; item 0 came before it"
    [asked] = policy.asked
    assert (asked.history.values.tolist(), asked.excluded.values.tolist()) == ([0, 1], [2])
    assert asked.candidates is not None
    assert asked.candidates.values.tolist() == [0, 1]
    assert torch.equal(found.log_prob(context, slates), slates.log_prob)
    assert found.own.tolist() == [1, -1, 2, -1, 0, -1]
    unknown = Slates(torch.tensor([[[5]]]), torch.zeros(1, 1, 1))
    assert found.log_prob(context, unknown).item() == float("-inf")


def test_a_policy_trained_on_a_log_of_the_world_acts_in_it(tmp_path: Path) -> None:
    small = [f"root={tmp_path}", "simulator.num_items=30", "simulator=slate/planted", "slots=3", "processes=1"]
    logged = train(compose([*small, "policy=[random]", "log=true", "users=40", "steps=20", "seeds=1"], "bench"))
    config = compose(
        [
            *("experiment=rere/feedback", "debug=limit", f"dataset.path={logged.folder / 'feedback.parquet'}"),
            *(f"root={tmp_path}", f"+stage.prepare.root={tmp_path / 'data'}", "clusters=4", "max_length=8"),
        ]
    )
    OmegaConf.set_struct(config, False)
    for network in (config.network, config.stage.sft.arms.sasrec.network):
        network.update({"width": 8, "layers": 1})
    trained = train(config)
    given = ["policy=[checkpoint,random]", f"policies.checkpoint.run={trained.folder}", "log=true", "limit=5"]
    played = train(compose([*small, *given], "bench"))
    assert set(played.metrics) == {"planted/checkpoint", "planted/random"}
    log = pl.read_parquet(played.folder / "feedback.parquet").filter(pl.col("policy") == "checkpoint")
    assert len(log) == 5 * 5 * 2
    assert log["propensity"].is_between(1e-9, 0.1).all(), "of 30 · 29 · 28 slates none is certain after two batches"
    assert json.loads((played.folder / "metrics.json").read_text())["planted/checkpoint"]["reward"]["value"] > 0


def test_a_run_of_other_items_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"run: .*config\.yaml is not there"):
        Checkpoint.from_run(str(tmp_path), range(30))
    write_tables(tmp_path / "tables")
    config = compose(
        [
            *("experiment=rere/parquet", "debug=limit", f"dataset.root={tmp_path / 'tables'}", f"root={tmp_path}"),
            *(f"+stage.prepare.root={tmp_path / 'data'}", "stage.prepare.k_core=0", "clusters=4", "max_length=8"),
            *("stages=[prepare,tokenize,sft]", "~stage.sft.arms.sasrec", "network.width=8", "network.layers=1"),
        ]
    )
    run = train(config).folder
    with pytest.raises(RequestError, match=r"the items of tables in .*; none is among those to act on, 0, 1, 2, …"):
        Checkpoint.from_run(str(run), range(30))
    few = Checkpoint.from_run(str(run), ["elsewhere", "i3", "i5"])
    asked = Context(torch.tensor([0]), Jagged.from_rows([[1, 0]]), Jagged.empty(1))
    both = [few.log_prob(asked, Slates(torch.tensor([[[item]]]), torch.zeros(1, 1, 1))).exp().item() for item in (1, 2)]
    assert sum(both) == pytest.approx(1.0), "items that are none of the log's are not shown"
