"""Data: sources, canonical tables, logs of feedback, and prepared data sets with their loaders.

The public names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys._lazy import lazy_names

if TYPE_CHECKING:
    from recsys.data.datasets.dataset import Dataset
    from recsys.data.datasets.example_data import ExampleData
    from recsys.data.datasets.examples import SlateExamples
    from recsys.data.datasets.loader import ExampleLoader, PackedLoader
    from recsys.data.datasets.prefixes import prefixes
    from recsys.data.datasets.prepare import prepare
    from recsys.data.datasets.prepare_slates import prepare_slates
    from recsys.data.datasets.sequence_data import SequenceData
    from recsys.data.datasets.slate_log import SlateLog
    from recsys.data.datasets.split import GlobalTime, LeaveOneOut, split_slates_by_steps, split_slates_by_time
    from recsys.data.logs.feedback_source import ParquetFeedback
    from recsys.data.sources.ebnerd import EbNerd
    from recsys.data.sources.feedback_clicks import FeedbackClicks
    from recsys.data.sources.finn import Finn
    from recsys.data.sources.kuairand import KuaiRand
    from recsys.data.sources.mind import Mind
    from recsys.data.sources.movielens import MovieLens
    from recsys.data.sources.parquet import ParquetExposures, ParquetSlates, ParquetTables

__all__ = [
    "Dataset",
    "EbNerd",
    "ExampleData",
    "ExampleLoader",
    "FeedbackClicks",
    "Finn",
    "GlobalTime",
    "KuaiRand",
    "LeaveOneOut",
    "Mind",
    "MovieLens",
    "PackedLoader",
    "ParquetExposures",
    "ParquetFeedback",
    "ParquetSlates",
    "ParquetTables",
    "SequenceData",
    "SlateExamples",
    "SlateLog",
    "prefixes",
    "prepare",
    "prepare_slates",
    "split_slates_by_steps",
    "split_slates_by_time",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "datasets.dataset": ["Dataset"],
        "datasets.example_data": ["ExampleData"],
        "datasets.examples": ["SlateExamples"],
        "datasets.loader": ["ExampleLoader", "PackedLoader"],
        "datasets.prefixes": ["prefixes"],
        "datasets.prepare": ["prepare"],
        "datasets.prepare_slates": ["prepare_slates"],
        "datasets.sequence_data": ["SequenceData"],
        "datasets.slate_log": ["SlateLog"],
        "datasets.split": ["GlobalTime", "LeaveOneOut", "split_slates_by_steps", "split_slates_by_time"],
        "logs.feedback_source": ["ParquetFeedback"],
        "sources.ebnerd": ["EbNerd"],
        "sources.feedback_clicks": ["FeedbackClicks"],
        "sources.finn": ["Finn"],
        "sources.kuairand": ["KuaiRand"],
        "sources.mind": ["Mind"],
        "sources.movielens": ["MovieLens"],
        "sources.parquet": ["ParquetExposures", "ParquetSlates", "ParquetTables"],
    },
)
