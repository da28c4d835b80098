"""Errors that the caller can correct.

The command line prints the message of a `RequestError` without a traceback and exits with code 2, that of a
`FailedPartsError` likewise with code 1. Any other exception is a failure of the program and exits with code 1.
"""


class RequestError(Exception):
    """The base class: a request cannot be carried out. The message says what was found, where, what was expected, and
    what to do.
    """


class ConfigurationError(RequestError):
    """A configuration key is unknown or missing, or a value has the wrong type."""


class DataError(RequestError):
    """A table, file or row is not what `docs/guide/tables.md` describes."""


class EmptyLegalSetError(RequestError):
    """A request cannot be answered: it excludes every item, or no item that it allows has a probability above 0."""


class ContractError(RequestError):
    """A policy or a simulator breaks its contract while it is played, such as a slate that repeats an item or a reward
    that is not finite. The message names the step, the user and what is wrong.
    """


class NonFiniteError(RequestError):
    """A number that must be finite is not: a loss, a gradient, a reward, a metric, or a score of an item."""


class FailedPartsError(Exception):
    """Some parts of a command failed while the others were done and kept. The message names each and says why; its
    traceback is in the log of the run.
    """
