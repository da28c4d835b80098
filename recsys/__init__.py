"""Recommenders that generate what a user sees next and learn from reward.

The names below are loaded when first asked for, so that `import recsys` costs nothing and pulls in no heavy library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recsys.configuration import configuration_folder
    from recsys.data.context import Context
    from recsys.data.dataset import Dataset
    from recsys.data.feedback import Feedback
    from recsys.data.jagged import Jagged
    from recsys.data.movielens import MovieLens
    from recsys.data.parquet import ParquetTables
    from recsys.data.prepare import prepare
    from recsys.data.slates import Slates
    from recsys.data.split import GlobalTime, LeaveOneOut
    from recsys.items.bundle import ItemBundle
    from recsys.items.semantic_ids import SemanticIds
    from recsys.items.trie import Trie
    from recsys.models.causal_generator import CausalGenerator
    from recsys.models.sasrec import SASRec
    from recsys.policies.evaluation import evaluate
    from recsys.policies.generative import GenerativePolicy
    from recsys.policies.item_knn import ItemKNN
    from recsys.policies.mixture import Mixture
    from recsys.policies.policy import ItemPolicy, Policy
    from recsys.policies.popularity import Popularity
    from recsys.policies.transitions import Transitions

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
    "Mixture",
    "MovieLens",
    "ParquetTables",
    "Policy",
    "Popularity",
    "SASRec",
    "SemanticIds",
    "Slates",
    "Transitions",
    "Trie",
    "configuration_folder",
    "evaluate",
    "prepare",
]

_HOME = {
    "CausalGenerator": "recsys.models.causal_generator",
    "Context": "recsys.data.context",
    "Dataset": "recsys.data.dataset",
    "Feedback": "recsys.data.feedback",
    "GenerativePolicy": "recsys.policies.generative",
    "GlobalTime": "recsys.data.split",
    "ItemBundle": "recsys.items.bundle",
    "ItemKNN": "recsys.policies.item_knn",
    "ItemPolicy": "recsys.policies.policy",
    "Jagged": "recsys.data.jagged",
    "LeaveOneOut": "recsys.data.split",
    "Mixture": "recsys.policies.mixture",
    "MovieLens": "recsys.data.movielens",
    "ParquetTables": "recsys.data.parquet",
    "Policy": "recsys.policies.policy",
    "Popularity": "recsys.policies.popularity",
    "SASRec": "recsys.models.sasrec",
    "SemanticIds": "recsys.items.semantic_ids",
    "Slates": "recsys.data.slates",
    "Transitions": "recsys.policies.transitions",
    "Trie": "recsys.items.trie",
    "configuration_folder": "recsys.configuration",
    "evaluate": "recsys.policies.evaluation",
    "prepare": "recsys.data.prepare",
}


def __getattr__(name: str) -> Any:
    """Load a public name from the module that holds it."""
    if name not in _HOME:
        raise AttributeError(f"module 'recsys' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
