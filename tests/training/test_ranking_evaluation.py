from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import polars as pl
import pytest
import torch
from omegaconf import OmegaConf

from recsys.atomic import write_json
from recsys.data.datasets.dataset import Dataset
from recsys.errors import ConfigurationError, RequestError
from recsys.metrics.evaluation import Evaluation
from recsys.policies.baselines.markov_chain import MarkovChain
from recsys.policies.baselines.popularity import PopularityPolicy
from recsys.policies.evaluation import evaluate
from recsys.policies.generative import GenerativePolicy
from recsys.policies.mixture import Mixture
from recsys.runs.artifacts import Artifact, artifact_folder, load_model
from recsys.runs.fingerprint import mark_result
from recsys.runs.materials import load_bundle
from recsys.runs.prepare import load_data_of
from recsys.runs.run import Stage
from recsys.runs.run_folder import RunFolder
from recsys.runs.trained_policy import load_policy
from recsys.training import ranking_evaluation as module
from recsys.training.evaluate import Evaluate
from recsys.training.ranking_evaluation import RankingEvaluation, first
from tests.training.trainings import SASREC, training_of

Train = Callable[..., RunFolder]
BASELINES: dict[str, Any] = {"popularity": PopularityPolicy, "markov": partial(MarkovChain, decay=0.6, window=5)}


def ndcg(evaluation: Evaluation) -> float:
    return float(evaluation.accuracy()["ndcg@10"].mean())


def test_rows_are_what_each_policy_reaches_alone(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    run = train({"sasrec": training_of(model=SASREC), "sft": training_of()})
    stage = Evaluate(RankingEvaluation(BASELINES, references=["sft", "absent"], beams=30))
    assert isinstance(stage, Stage)
    stage.run(run)
    metrics, dataset = run.read_metrics(), load_data_of(run, Dataset)
    assert list(metrics) == ["popularity", "markov", "sasrec", "sft", "mixture"]
    network = load_model(artifact_folder(run, "sft"), load_bundle(run)).eval()
    policies = {
        "popularity": PopularityPolicy(dataset.train, dataset.num_items),
        "sft": GenerativePolicy(network, beams=30),
    }
    for row, policy in policies.items():
        assert metrics[row]["ndcg@10"]["value"] == pytest.approx(ndcg(evaluate(policy, dataset.test)))
    minus = metrics["popularity"]["ndcg@10"]["value"] - metrics["sft"]["ndcg@10"]["value"]
    assert metrics["popularity"]["ndcg@10_minus_sft"]["value"] == pytest.approx(minus)
    assert "ndcg@10_minus_sft" not in metrics["sft"]
    shown = capsys.readouterr().out
    assert "36 requests, full catalogue, seen items excluded" in shown
    assert f"{metrics['sft']['ndcg@10']['value']:.4f}".lstrip("0") in shown


@pytest.mark.parametrize(("name", "mixed"), [("markov", "markov"), ("mixture", "markov"), ("markov", None)])
def test_a_training_has_no_row_of_the_evaluation_s_own(name: str, mixed: str | None) -> None:
    evaluation = {
        "_target_": "recsys.training.ranking_evaluation.RankingEvaluation",
        "baselines": {"markov": {}},
        "mixed": mixed,
    }
    config = OmegaConf.create({"evaluation": evaluation, "train": {"sft": {}}})
    Evaluate.check_configuration(config, config)
    config.train[name] = {}
    with pytest.raises(ConfigurationError, match=rf"^train\.{name}: the evaluation has a row '{name}' of its own"):
        Evaluate.check_configuration(config, config)


def test_every_user_stands_in_the_table(train: Train) -> None:
    run = train({"sft": training_of()})
    Evaluate(RankingEvaluation(BASELINES, seed=3)).run(run)
    table = pl.read_parquet(run.metrics_table)
    assert table.columns == ["user_id", "row", "metric", "seed", "value"]
    assert table["seed"].unique().to_list() == [3]
    means = table.filter(metric="hr@10").group_by("row").agg(pl.col("value").mean())
    for row, value in means.iter_rows():
        assert value == pytest.approx(run.read_metrics()[row]["hr@10"]["value"])
    assert set(table["user_id"]) == {f"u{user}" for user in range(36)}


def test_the_mixture_is_that_of_the_best_training_but_the_opponent(train: Train) -> None:
    run = train({"sasrec": training_of(model=SASREC), "sft": training_of(), "other": training_of(epochs=2)})
    for name, value in (("sasrec", 0.9), ("sft", 0.5), ("other", 0.4)):
        folder = artifact_folder(run, name)
        replace(Artifact.read(folder), score=value).write(folder)
        mark_result(folder, name)
    rows = RankingEvaluation(BASELINES).policies(run, load_data_of(run, Dataset))
    mixture = rows["mixture"]
    assert isinstance(mixture, Mixture)
    network, counts = mixture.policies
    assert network is rows["sft"] and counts is rows["markov"]
    assert "mixture" not in RankingEvaluation(BASELINES, mixed=None).policies(run, load_data_of(run, Dataset))


@pytest.mark.parametrize("trainings", [{}, {"sasrec": training_of(model=SASREC)}])
def test_without_a_network_of_ours_there_is_no_mixture(trainings: dict, train: Train, prepared: RunFolder) -> None:
    run = train(trainings) if trainings else prepared
    assert list(RankingEvaluation(BASELINES).policies(run, load_data_of(run, Dataset))) == [*BASELINES, *trainings]


def test_a_limit_asks_the_first_requests(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    test = load_data_of(train({"sft": training_of()}), Dataset).test
    assert torch.equal(first(test, 3).context.users, torch.arange(3))
    asked: dict[str, list[int]] = {"evaluate": [], "best_weight": []}

    def counting(name: str, function: Callable) -> Callable:
        def count(*given: Any, **more: Any) -> Any:
            asked[name].append(len(given[-1]))
            return function(*given, **more)

        return count

    for name in asked:
        monkeypatch.setattr(module, name, counting(name, getattr(module, name)))
    monkeypatch.setattr(module, "first", lambda examples, count: first(examples, count // 64))
    run = train({"sft": training_of()})
    Evaluate(RankingEvaluation(BASELINES, limit=1)).run(run)
    assert asked == {"evaluate": [4] * 8, "best_weight": [4]}, "test and validation requests of four rows"


def test_the_row_that_validates_best_is_served_whatever_it_is(train: Train) -> None:
    run = train({"sft": training_of()})
    evaluation = {
        "_target_": "recsys.training.ranking_evaluation.RankingEvaluation",
        "baselines": {
            "popularity": {"_target_": "recsys.policies.baselines.popularity.PopularityPolicy", "_partial_": True},
            "markov": {"_target_": "recsys.policies.baselines.markov_chain.MarkovChain", "_partial_": True},
        },
    }
    OmegaConf.save(OmegaConf.create({"evaluation": evaluation}), run.config)
    served, dataset = load_policy(run)
    policies = RankingEvaluation({"popularity": PopularityPolicy, "markov": MarkovChain}).policies(run, dataset)
    by_hand = {name: ndcg(evaluate(policy, dataset.validation)) for name, policy in policies.items()}
    assert list(by_hand) == ["popularity", "markov", "sft", "mixture"]
    assert served.row == max(by_hand, key=lambda name: by_hand[name])
    for row, policy in policies.items():
        found = load_policy(run, row)[0]
        expected = policy.top(dataset.recommend_context(["u3"]), 4)
        assert found.row == row
        ids = dataset.items["item_id"][expected.items[0, :, 0].tolist()].to_list()
        assert [item for item, _, _ in found.recommend("u3", 4)] == ids
    with pytest.raises(RequestError, match=r"row=markof: .* has no such row; did you mean 'markov'"):
        load_policy(run, "markof")
    told = {"popularity": 0.2, "markov": 0.1, "sft": None, "mixture": 0.15}
    write_json(run.stage("evaluate") / "validation.json", told)
    assert load_policy(run)[0].row == "popularity"


def test_days_are_told_apart_where_times_are_known(train: Train) -> None:
    run = train({"sft": training_of()})
    Evaluate(RankingEvaluation(BASELINES)).run(run)
    cells, same = run.read_metrics()["sft"], load_data_of(run, Dataset).same_day["test"]
    share = float(same.float().mean())
    assert 0 < share < 1
    parts = share * cells["ndcg@10/same_day"]["value"] + (1 - share) * cells["ndcg@10/other_day"]["value"]
    assert parts == pytest.approx(cells["ndcg@10"]["value"])
