from __future__ import annotations

from typing import Any

import pytest

from recsys.errors import ConfigurationError
from recsys.stored import Trusted, check_stored, check_stored_run, trusting
from tests.test_experiments import EXPERIMENTS, composed

NET = "recsys.models.generators.sasrec.SASRec"
HOSTILE = [
    "os.system",
    "subprocess.run",
    "builtins.eval",
    "hydra.utils.instantiate",
    "functools.partial",
    "recsys.atomic.os.system",
    "recsys.atomic.shutil.rmtree",
    "recsys.atomic.write_text",
    "recsys.instantiation.make",
    "recsys.instantiation.defer",
    "recsys.config.signature.locate",
    "recsys.cli.main.main",
    "recsys.training.train.train",
    "recsys.data.tables.download.fetch_package",
    "recsys.items.bundle.ItemBundle.save",
    "recsys.runs.run_log.RunLogFile",
    "recsys.checksums.write_checksums",
    f"{NET}.__init_subclass__",
    f"{NET}.load_state_dict",
    "recsys.models.generators.sasrec.torch.load",
    "torch.load",
    "recsys",
    "",
    "no dots",
    None,
    7,
    {"_target_": "os.system"},
    "${oc.env:HOME}.x",
]


@pytest.mark.parametrize("target", HOSTILE, ids=str)
@pytest.mark.parametrize("whole_run", [False, True])
def test_what_is_not_of_the_package_is_refused_at_any_depth(target: Any, whole_run: bool) -> None:
    call = {"_target_": target, "command": "true"}
    lookup = {"_target_": "hydra.utils.get_method", "path": target}
    for node in (call, {"a": [{"_target_": f"{NET}.from_bundle", "width": {"deep": call}}]}, lookup):
        with pytest.raises(ConfigurationError, match=r"artifact\.json: "):
            check_stored(node, "artifact.json", whole_run=whole_run)


@pytest.mark.parametrize(
    "node",
    [
        {"_target_": "hydra.utils.get_method", "_args_": ["os.system"]},
        {"a": "${oc.create:'{_target_: os.system}'}"},
        {"${oc.env:HOME}": 1},
    ],
)
def test_what_would_name_something_later_is_refused(node: Any) -> None:
    with pytest.raises(ConfigurationError):
        check_stored(node, "artifact.json")


def test_parts_of_the_package_and_layers_are_made() -> None:
    check_stored(
        {
            "_target_": f"{NET}.from_bundle",
            "feed_forward": {"_target_": "recsys.nn.feed_forward.SwiGLU", "_partial_": True, "act": "x"},
            "layers": [{"_target_": "torch.nn.ReLU"}, {"_target_": "recsys.runs.artifacts.artifact", "name": "sft"}],
            "affinity": {"_target_": "hydra.utils.get_method", "path": "recsys.nn.affinity.inner_product"},
        },
        "artifact.json",
    )


def test_a_command_trusts_the_modules_it_names_and_of_shared_packages_the_names_alone() -> None:
    own = {"_target_": "my_parts.nets.Net", "optimizer": {"_target_": "numpy.zeros"}}
    with trusting(Trusted.of(own)):
        check_stored({"_target_": "my_parts.nets.build"}, "artifact.json")
        check_stored({"_target_": "numpy.zeros"}, "artifact.json")
        for other in ("my_parts.nets.os.system", "my_parts.other.Net", "numpy.load", "my_parts.Net"):
            with pytest.raises(ConfigurationError):
                check_stored({"_target_": other}, "artifact.json")
    with pytest.raises(ConfigurationError, match=r"modules=\[my_parts\.nets\]"):
        check_stored(own, "artifact.json")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_of_the_package_can_be_run_from_its_folder(name: str) -> None:
    check_stored_run(composed(name), "config.yaml")
