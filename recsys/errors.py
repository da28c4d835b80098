"""Errors that the caller can correct, and their base class.

The command line prints the message of a `RequestError` without a traceback and exits with 2.
Any other exception is a failure inside and exits with 1.
"""


class RequestError(Exception):
    """The request cannot be carried out as asked; the message names what was found, what was expected, what to do."""


class ConfigurationError(RequestError):
    """A configuration key is unknown, missing or of the wrong type."""


class DataError(RequestError):
    """A table, file or row is not what `docs/guide/tables.md` describes."""


class EmptyLegalSetError(RequestError):
    """A request excludes every item of the catalogue, so that no policy has anything left to choose from."""
