"""Refuse a default precision of torch that simulators and policies are not made for."""

from __future__ import annotations

from recsys.errors import ConfigurationError


def require_default_precision() -> None:
    """Refuse any default precision of torch but single.

    Tables, features and scores are float32 wherever they are stored; networks made in another precision cannot be
    multiplied with them.

    Raises:
        ConfigurationError: it names the precision, and the call that sets it back.
    """
    import torch  # a refusal of a wrong key needs none

    found = torch.get_default_dtype()
    if found is not torch.float32:
        raise ConfigurationError(
            f"torch's default precision is {found}, expected torch.float32: call "
            "torch.set_default_dtype(torch.float32); a run trains in another precision with trainer.precision"
        )
