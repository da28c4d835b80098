"""Parts of a batch that need not be there, and are made when an estimator first asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from recsys.errors import RequestError


class Parts:
    """A frozen dataclass of tensors of which some may be None.

    Attributes:
        later: how to make parts that are None, when they are needed; none by default.
    """

    later: Mapping[str, Callable[[], Tensor]] | None = None

    def need(self, name: str) -> Tensor:
        """A part that need not be there; made now, and kept, where it is not yet.

        Raises:
            RequestError: it is not there and nothing says how to make it.
        """
        if getattr(self, name) is None and self.later is not None and name in self.later:
            object.__setattr__(self, name, self.later[name]())
        found = getattr(self, name)
        if found is None:
            raise RequestError(f"this estimator needs {self.called(name)}, which is not there{self.given_by(name)}")
        return found

    def called(self, name: str) -> str:
        """What a part is called in messages."""
        raise NotImplementedError

    def given_by(self, name: str) -> str:
        """How `recsys replay` is told to make a part, after a colon; empty where that is not to be said."""
        return ""
