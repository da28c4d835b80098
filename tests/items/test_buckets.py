from __future__ import annotations

import torch

from recsys.items.buckets import bucket_of, rank_in_bucket


def test_buckets_agree_with_rows_compared_one_by_one() -> None:
    codes = torch.randint(0, 3, (80, 3), generator=torch.Generator().manual_seed(0))
    expected = torch.unique(codes, dim=0, return_inverse=True)[1]
    assert torch.equal(bucket_of(codes), expected)


def test_without_levels_all_share_a_bucket() -> None:
    assert bucket_of(torch.zeros(3, 0, dtype=torch.int64)).tolist() == [0, 0, 0]


def test_rank_counts_the_rows_before() -> None:
    bucket = torch.randint(0, 5, (60,), generator=torch.Generator().manual_seed(0)).tolist()
    expected = [bucket[:row].count(value) for row, value in enumerate(bucket)]
    assert rank_in_bucket(torch.tensor(bucket)).tolist() == expected
