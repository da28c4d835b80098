"""Recommenders that generate what a user sees next and learn from reward.

The names below are loaded when first asked for, so that `import recsys` costs nothing and pulls in no heavy library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recsys.configuration import configuration_folder
    from recsys.data.datasets.dataset import Dataset
    from recsys.data.datasets.prepare import prepare
    from recsys.data.datasets.split import GlobalTime, LeaveOneOut
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
    from recsys.types.context import Context
    from recsys.types.feedback import Feedback
    from recsys.types.jagged import Jagged
    from recsys.types.slates import Slates

__version__ = "0.1.0"

__all__ = [
    "CausalGenerator",
    "Context",
    "Dataset",
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
    "ParquetTables",
    "Policy",
    "PopularityPolicy",
    "SASRec",
    "SemanticIds",
    "Slates",
    "Trie",
    "configuration_folder",
    "evaluate",
    "prepare",
]

_HOME = {
    "CausalGenerator": "recsys.models.generators.causal",
    "Context": "recsys.types.context",
    "Dataset": "recsys.data.datasets.dataset",
    "Feedback": "recsys.types.feedback",
    "GenerativePolicy": "recsys.policies.generative",
    "GlobalTime": "recsys.data.datasets.split",
    "ItemBundle": "recsys.items.bundle",
    "ItemKNN": "recsys.policies.baselines.item_knn",
    "ItemPolicy": "recsys.policies.policy",
    "Jagged": "recsys.types.jagged",
    "LeaveOneOut": "recsys.data.datasets.split",
    "Mixture": "recsys.policies.mixture",
    "MovieLens": "recsys.data.sources.movielens",
    "ParquetTables": "recsys.data.sources.parquet",
    "Policy": "recsys.policies.policy",
    "PopularityPolicy": "recsys.policies.baselines.popularity",
    "SASRec": "recsys.models.generators.sasrec",
    "SemanticIds": "recsys.items.semantic_ids",
    "Slates": "recsys.types.slates",
    "MarkovChain": "recsys.policies.baselines.markov_chain",
    "Trie": "recsys.items.trie",
    "configuration_folder": "recsys.configuration",
    "evaluate": "recsys.policies.evaluation",
    "prepare": "recsys.data.datasets.prepare",
}


def __getattr__(name: str) -> Any:
    """Load a public name from the module that holds it."""
    if name not in _HOME:
        raise AttributeError(f"module 'recsys' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
