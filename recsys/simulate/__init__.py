"""Users that answer where no log can: simulators, their choice models and their dynamics.

The public names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys._lazy import lazy_names

if TYPE_CHECKING:
    from recsys.simulate.choice_models import ChoiceModel, MultinomialLogit, MultinomialProportional
    from recsys.simulate.click_models import CascadeModel, DependentClickModel, PositionBasedModel
    from recsys.simulate.dynamics import Dynamics, GammaLinear, Recurrent, Reinforcing
    from recsys.simulate.features import ClickbaitFeatures, GroupFeatures, NoveltyFeatures, TopicFeatures
    from recsys.simulate.gym import SlateVectorEnv
    from recsys.simulate.interest_evolution import InterestContext, InterestEvolution
    from recsys.simulate.long_term_satisfaction import LongTermSatisfaction, SatisfactionContext
    from recsys.simulate.novelty_seeking import NoveltySeeking
    from recsys.simulate.planted_groups import PlantedGroups
    from recsys.simulate.simulated_slates import SimulatedSlates
    from recsys.simulate.simulator import PlantedTruth, Simulator, feedback, one_slate_each

__all__ = [
    "CascadeModel",
    "ChoiceModel",
    "ClickbaitFeatures",
    "DependentClickModel",
    "Dynamics",
    "GammaLinear",
    "GroupFeatures",
    "InterestContext",
    "InterestEvolution",
    "LongTermSatisfaction",
    "MultinomialLogit",
    "MultinomialProportional",
    "NoveltyFeatures",
    "NoveltySeeking",
    "PlantedGroups",
    "PlantedTruth",
    "PositionBasedModel",
    "Recurrent",
    "Reinforcing",
    "SatisfactionContext",
    "SimulatedSlates",
    "Simulator",
    "SlateVectorEnv",
    "TopicFeatures",
    "feedback",
    "one_slate_each",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "choice_models": ["ChoiceModel", "MultinomialLogit", "MultinomialProportional"],
        "click_models": ["CascadeModel", "DependentClickModel", "PositionBasedModel"],
        "dynamics": ["Dynamics", "GammaLinear", "Recurrent", "Reinforcing"],
        "features": ["ClickbaitFeatures", "GroupFeatures", "NoveltyFeatures", "TopicFeatures"],
        "gym": ["SlateVectorEnv"],
        "interest_evolution": ["InterestContext", "InterestEvolution"],
        "long_term_satisfaction": ["LongTermSatisfaction", "SatisfactionContext"],
        "novelty_seeking": ["NoveltySeeking"],
        "planted_groups": ["PlantedGroups"],
        "simulated_slates": ["SimulatedSlates"],
        "simulator": ["PlantedTruth", "Simulator", "feedback", "one_slate_each"],
    },
)
