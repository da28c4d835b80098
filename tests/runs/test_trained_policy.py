from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import torch
from omegaconf import OmegaConf

from recsys.config.compose import compose
from recsys.data.datasets.dataset import Dataset
from recsys.errors import DataError, RequestError
from recsys.items.balanced_kmeans import BalancedKMeans
from recsys.policies.generative import GenerativePolicy
from recsys.policies.policy import ItemPolicy
from recsys.runs.artifacts import Artifact, build_model, save_artifact
from recsys.runs.materials import load_bundle
from recsys.runs.prepare import load_data_of
from recsys.runs.run import run_stages
from recsys.runs.run_folder import RunFolder
from recsys.runs.trained_policy import RemappedPolicy, TrainedRecommender, load_policy
from recsys.types.artifact_kind import ArtifactKind
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates
from tests.tables import write_tables
from tests.tiny import tiny_dataset, tiny_generator


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
    found = RemappedPolicy(policy, torch.tensor([4, 0, 2]), num_items=6)
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


def test_a_policy_trained_on_a_log_of_the_world_acts_in_it(tmp_path: Path, played_here: None) -> None:
    small = [f"root={tmp_path}", "simulator.num_items=30", "simulator=slate/planted", "slots=3", "processes=1"]
    logged = run_stages(compose([*small, "policy=[random]", "log=true", "users=40", "steps=20", "seeds=1"], "bench"))
    config = compose(
        [
            *("experiment=rere/feedback", "debug=limit", f"dataset.path={logged.folder / 'feedback.parquet'}"),
            *(f"root={tmp_path}", f"+data.root={tmp_path / 'data'}", "clusters=4", "max_length=8"),
        ]
    )
    OmegaConf.set_struct(config, False)
    for network in (config.network, config.train.sasrec.model):
        network.update({"width": 8, "layers": 1})
    trained = run_stages(config)
    given = ["policy=[checkpoint,random]", f"policies.checkpoint.run={trained.folder}", "log=true", "limit=5"]
    played = run_stages(compose([*small, *given], "bench"))
    assert set(played.metrics) == {"planted/checkpoint", "planted/random"}
    log = pl.read_parquet(played.folder / "feedback.parquet").filter(pl.col("policy") == "checkpoint")
    assert len(log) == 5 * 5 * 2
    assert log["propensity"].is_between(1e-9, 0.1).all(), "of 30 · 29 · 28 slates none is certain after two batches"
    assert json.loads((played.folder / "metrics.json").read_text())["planted/checkpoint"]["reward"]["value"] > 0


def test_a_run_of_other_items_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"run: .*config\.yaml is not there"):
        RemappedPolicy.from_run(str(tmp_path), range(30))
    write_tables(tmp_path / "tables")
    config = compose(
        [
            *("experiment=rere/parquet", "debug=limit", f"dataset.root={tmp_path / 'tables'}", f"root={tmp_path}"),
            *(f"+data.root={tmp_path / 'data'}", "data.k_core=0", "clusters=4", "max_length=8"),
            *("stages=[prepare,tokenize,train]", "network.width=8", "network.layers=1"),
            *(f"~train.{name}" for name in ("sasrec", "sft_continued", "rere", "rere_lambda")),
        ]
    )
    run = run_stages(config).folder
    with pytest.raises(RequestError, match=r"the items of tables in .*; none is among those to act on, 0, 1, 2, …"):
        RemappedPolicy.from_run(str(run), range(30))
    few = RemappedPolicy.from_run(str(run), ["elsewhere", "i3", "i5"])
    asked = Context(torch.tensor([0]), Jagged.from_rows([[1, 0]]), Jagged.empty(1))
    both = [few.log_prob(asked, Slates(torch.tensor([[[item]]]), torch.zeros(1, 1, 1))).exp().item() for item in (1, 2)]
    assert sum(both) == pytest.approx(1.0), "items that are none of the log's are not shown"


NODE = OmegaConf.create({"_target_": "recsys.models.generators.causal.CausalGenerator.from_bundle", "width": 8})


@pytest.fixture
def run(prepared: RunFolder) -> RunFolder:
    """Two untrained policies, of which `second` validated better."""
    run = prepared
    for seed, (name, value) in enumerate({"first": 0.1, "second": 0.2}.items()):
        torch.manual_seed(seed)
        folder = run.stage("train") / name
        bundle, recipe = load_bundle(run), dict(NODE)
        left = Artifact(name, ArtifactKind.POLICY, name, bundle.fingerprint, recipe, "validation/ndcg@10", "max", value)
        save_artifact(left, build_model(NODE, bundle), folder)
    return run


def test_the_policy_that_validates_best_or_the_one_asked_for(run: RunFolder) -> None:
    best, dataset = load_policy(run)
    second, first = (load_policy(run, name)[0] for name in ("second", "first"))
    assert best.recommend("u3", 4) == second.recommend("u3", 4) != first.recommend("u3", 4)
    assert dataset.fingerprint == load_data_of(run, Dataset).fingerprint


def test_raw_ids_titles_and_probabilities(run: RunFolder) -> None:
    recommender, dataset = load_policy(run)
    found = recommender.recommend("u3", 5)
    had = pl.read_parquet(run.path.parent / "tables" / "interactions.parquet").filter(user_id="u3")["item_id"]
    chances = [chance for _, _, chance in found]
    assert len({item for item, _, _ in found} - set(had)) == 5
    assert all(title == f"Tale {item[1:]} of {int(item[1:]) // 6}" for item, title, _ in found)
    assert chances == sorted(chances, reverse=True)
    whole = recommender.policy.catalogue_log_prob(dataset.recommend_context(["u3"])).exp()
    assert chances == pytest.approx(whole[0].topk(5).values.tolist(), rel=1e-4)


def test_no_more_than_there_is_left() -> None:
    dataset = tiny_dataset()
    found = TrainedRecommender(GenerativePolicy(tiny_generator(dropout=0.0)), dataset, dataset.items).recommend(
        "u0", 50
    )
    had = len(dataset.complete.select(torch.tensor([0])).excluded.values.unique())
    assert len(found) == 20 - had
    assert sum(chance for _, _, chance in found) == pytest.approx(1.0)
    assert [title for _, title, _ in found] == [f"Item {item[1:]}" for item, _, _ in found]


def test_items_that_joined_the_bundle_are_recommended_too(run: RunFolder) -> None:
    bundle, vectors = load_bundle(run), torch.randn(2, 6)
    quantizer = BalancedKMeans(levels=1, codes=4)
    quantizer.fit(bundle.vectors, torch.Generator().manual_seed(0))
    rows = pl.DataFrame({"item_id": ["new a", "new b"], "title": ["A new tale", None]})
    bundle.with_new_items(rows, vectors, quantizer).save(run.stage("tokenize") / "bundle")
    found = dict((item, title) for item, title, _ in load_policy(run)[0].recommend("u3", 50))
    assert (found["new a"], found["new b"]) == ("A new tale", "new b")


def test_unknown_trainings_and_users_are_named(run: RunFolder) -> None:
    with pytest.raises(RequestError, match="'thrid' is not the name of a policy; known: first, second"):
        load_policy(run, "thrid")
    with pytest.raises(RequestError, match="'item_vectors' is not the name of a policy; known: first, second"):
        load_policy(run, "item_vectors")
    with pytest.raises(DataError, match="'nobody'"):
        load_policy(run)[0].recommend("nobody", 3)


def test_a_run_that_has_trained_nothing(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="holds no trained policy"):
        load_policy(RunFolder(tmp_path))
