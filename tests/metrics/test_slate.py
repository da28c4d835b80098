from __future__ import annotations

import pytest
import torch

from recsys.metrics.slate import log_likelihoods, slate_results

CLICK = torch.tensor([0, 1, -1, 1])
USERS = torch.tensor([3, 3, 5, 8])
EVEN = torch.tensor([[0.25, 0.25, 0.5]]).expand(4, 3)
SURE = torch.tensor([[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.1, 0.1, 0.8], [0.1, 0.4, 0.5]])
STRATA = {"search": torch.tensor([True, True, False, False]), "rare": torch.tensor([False, True, False, False])}


def test_both_likelihoods_by_hand() -> None:
    found = log_likelihoods(SURE, CLICK)
    torch.testing.assert_close(found["log_likelihood"].exp(), torch.tensor([0.8, 0.6, 0.8, 0.4]))
    given = found["click_log_likelihood"]
    torch.testing.assert_close(given[[0, 1, 3]].exp(), torch.tensor([0.8 / 0.9, 0.6 / 0.8, 0.4 / 0.5]))
    assert given[2].isnan()


def test_means_differences_and_strata() -> None:
    table = slate_results({"even": EVEN, "sure": SURE}, CLICK, USERS, STRATA, references=["even"])
    own = torch.tensor([0.8, 0.6, 0.8, 0.4]).log()
    even = torch.tensor([0.25, 0.25, 0.5, 0.25]).log()
    assert table["sure"]["log_likelihood"]["value"] == pytest.approx(own.mean().item())
    assert table["sure"]["log_likelihood_minus_even"]["value"] == pytest.approx((own - even).mean().item())
    assert table["sure"]["log_likelihood/search"]["value"] == pytest.approx(own[:2].mean().item())
    assert table["sure"]["log_likelihood/rare"]["value"] == pytest.approx(own[1].item())
    clicked = torch.tensor([0.8 / 0.9, 0.6 / 0.8, 0.4 / 0.5]).log().mean().item()
    assert table["sure"]["click_log_likelihood"]["value"] == pytest.approx(clicked)
    assert "log_likelihood_minus_even" not in table["even"]
    low, high = (table["sure"]["log_likelihood"][end] for end in ("low", "high"))
    assert low is not None and high is not None and low < own.mean() < high


def test_an_empty_stratum_is_left_out() -> None:
    nothing = {"rare": torch.zeros(4, dtype=torch.bool), "quiet": CLICK < 0}
    table = slate_results({"even": EVEN}, CLICK, USERS, nothing)
    assert set(table["even"]) == {"log_likelihood", "click_log_likelihood", "log_likelihood/quiet"}
