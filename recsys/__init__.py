"""Recommenders that generate what a user sees next and learn from reward.

The public names are imported on first use: `import recsys` is fast and pulls in no heavy library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys._lazy import lazy_names

if TYPE_CHECKING:
    from recsys.config.folders import configuration_folder
    from recsys.data.datasets.dataset import Dataset
    from recsys.data.datasets.prepare import prepare
    from recsys.data.datasets.split import GlobalTime, LeaveOneOut
    from recsys.data.logs.feedback_source import ParquetFeedback
    from recsys.data.sources.movielens import MovieLens
    from recsys.data.sources.parquet import ParquetTables
    from recsys.items.bundle import ItemBundle
    from recsys.items.semantic_ids import SemanticIds
    from recsys.items.trie import Trie
    from recsys.models.generators.causal import CausalGenerator
    from recsys.models.generators.sasrec import SASRec
    from recsys.policies.baselines.item_knn import ItemKNN
    from recsys.policies.baselines.markov_chain import MarkovChain
    from recsys.policies.baselines.popularity import PopularityPolicy
    from recsys.policies.evaluation import evaluate
    from recsys.policies.generative import GenerativePolicy
    from recsys.policies.mixture import Mixture
    from recsys.policies.policy import ItemPolicy, Policy
    from recsys.runs.artifacts import load
    from recsys.runs.prepare import load_data
    from recsys.training.train import train
    from recsys.types.context import Context
    from recsys.types.example import Example
    from recsys.types.feedback import Feedback
    from recsys.types.jagged import Jagged
    from recsys.types.slates import Slates

__version__ = "0.1.0"

__all__ = [
    "CausalGenerator",
    "Context",
    "Dataset",
    "Example",
    "Feedback",
    "GenerativePolicy",
    "GlobalTime",
    "ItemBundle",
    "ItemKNN",
    "ItemPolicy",
    "Jagged",
    "LeaveOneOut",
    "MarkovChain",
    "Mixture",
    "MovieLens",
    "ParquetFeedback",
    "ParquetTables",
    "Policy",
    "PopularityPolicy",
    "SASRec",
    "SemanticIds",
    "Slates",
    "Trie",
    "configuration_folder",
    "evaluate",
    "load",
    "load_data",
    "prepare",
    "train",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "config.folders": ["configuration_folder"],
        "data.datasets.dataset": ["Dataset"],
        "data.datasets.prepare": ["prepare"],
        "data.datasets.split": ["GlobalTime", "LeaveOneOut"],
        "data.logs.feedback_source": ["ParquetFeedback"],
        "data.sources.movielens": ["MovieLens"],
        "data.sources.parquet": ["ParquetTables"],
        "items.bundle": ["ItemBundle"],
        "items.semantic_ids": ["SemanticIds"],
        "items.trie": ["Trie"],
        "models.generators.causal": ["CausalGenerator"],
        "models.generators.sasrec": ["SASRec"],
        "policies.baselines.item_knn": ["ItemKNN"],
        "policies.baselines.markov_chain": ["MarkovChain"],
        "policies.baselines.popularity": ["PopularityPolicy"],
        "policies.evaluation": ["evaluate"],
        "policies.generative": ["GenerativePolicy"],
        "policies.mixture": ["Mixture"],
        "policies.policy": ["ItemPolicy", "Policy"],
        "runs.artifacts": ["load"],
        "runs.prepare": ["load_data"],
        "training.train": ["train"],
        "types.context": ["Context"],
        "types.example": ["Example"],
        "types.feedback": ["Feedback"],
        "types.jagged": ["Jagged"],
        "types.slates": ["Slates"],
    },
)
