from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import torch
from omegaconf import OmegaConf

from recsys.errors import DataError, RequestError
from recsys.items.balanced_kmeans import BalancedKMeans
from recsys.policies.generative import GenerativePolicy
from recsys.train.load import Recommender, load_policy
from recsys.train.networks import build_network, save_network
from recsys.train.run_folder import RunFolder
from recsys.train.stages.prepare import load_dataset
from recsys.train.stages.tokenize import load_bundle
from tests.tiny import tiny_dataset, tiny_generator

NODE = OmegaConf.create({"_target_": "recsys.models.causal_generator.CausalGenerator.from_bundle", "width": 8})


@pytest.fixture
def run(prepared: RunFolder) -> RunFolder:
    """Two untrained arms, of which `second` validated better."""
    run = prepared
    for seed, (name, value) in enumerate({"first": 0.1, "second": 0.2}.items()):
        torch.manual_seed(seed)
        folder = run.stage("sft") / name
        save_network(build_network(NODE, load_bundle(run)), NODE, load_bundle(run).fingerprint, folder)
        (folder / "result.json").write_text(json.dumps({"validation": value}))
    return run


def test_the_arm_that_validates_best_or_the_one_asked_for(run: RunFolder) -> None:
    best, dataset = load_policy(run)
    second, first = (load_policy(run, arm)[0] for arm in ("second", "first"))
    assert best.recommend("u3", 4) == second.recommend("u3", 4) != first.recommend("u3", 4)
    assert dataset.fingerprint == load_dataset(run).fingerprint


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
    found = Recommender(GenerativePolicy(tiny_generator(dropout=0.0)), dataset, dataset.items).recommend("u0", 50)
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


def test_unknown_arms_and_users_are_named(run: RunFolder) -> None:
    with pytest.raises(RequestError, match="no trained arm 'thrid': there are first, second"):
        load_policy(run, "thrid")
    with pytest.raises(DataError, match="'nobody'"):
        load_policy(run)[0].recommend("nobody", 3)


def test_a_run_that_has_trained_nothing(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="holds no trained network"):
        load_policy(RunFolder(tmp_path))
