"""A request that is not done: an HTTP status and one sentence, the same in JSON everywhere."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import JSONResponse

from facetell.errors import FacetellError

__all__ = ["Problem", "Refused", "problem_response"]


@dataclass(frozen=True)
class Problem:
    """Why a request was not done.

    Attributes:
        error: what was expected, what came, what to do next.
    """

    error: str


class Refused(FacetellError):
    """Raised where a request cannot go on.

    Args:
        status: HTTP status.
        message: the answer's `error`.
        reason: one word for /metrics.
    """

    def __init__(self, status: int, message: str, *, reason: str) -> None:
        super().__init__(message, status=status, reason=reason)
        self.status = status
        self.reason = reason


def problem_response(status: int, message: str) -> JSONResponse:
    """The answer `{"error": message}`; one that says "later" says when."""
    headers = {}
    if status == 503:
        headers["Retry-After"] = "1"
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="facetell"'
    return JSONResponse({"error": message}, status, headers)
