from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from recsys.nn.affinity import inner_product, negative_distance


@pytest.mark.parametrize("affinity", [inner_product, negative_distance])
@pytest.mark.parametrize("items", [3, 40])
def test_items_of_all_and_of_each_user_agree(affinity: Callable, items: int, generator: torch.Generator) -> None:
    users, vectors = torch.randn(30, 4, generator=generator), torch.randn(items, 4, generator=generator)
    own = affinity(users, vectors.expand(30, -1, -1))
    torch.testing.assert_close(affinity(users, vectors), own, atol=1e-5, rtol=1e-5)


def test_distances_by_hand_and_their_gradient_at_the_item_itself() -> None:
    users = torch.tensor([[3.0, 4.0]], requires_grad=True)
    items = torch.tensor([[[0.0, 0.0], [3.0, 4.0]]])
    distance = negative_distance(users, items)
    assert distance.tolist() == [[-5.0, 0.0]]
    distance.sum().backward()
    torch.testing.assert_close(users.grad, torch.tensor([[-0.6, -0.8]]))


@pytest.mark.parametrize("affinity", [inner_product, negative_distance])
def test_a_user_in_several_places(affinity, generator: torch.Generator) -> None:
    places, vectors = torch.randn(5, 30, 4, generator=generator), torch.randn(5, 40, 4, generator=generator)
    each = torch.stack([affinity(place, vectors) for place in places.unbind(1)], 1)
    torch.testing.assert_close(affinity(places, vectors), each, atol=1e-6, rtol=1e-5)
