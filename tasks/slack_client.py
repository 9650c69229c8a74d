"""Slack's own client, its calls sent as all our requests are: within a time and a size, whatever answers.

Before it: `tasks/channels/slack.py` calls a method. After it: Slack's Web API, or what stands in its place.
"""

from __future__ import annotations

from typing import Any
from urllib.request import Request

import httpx
from slack_sdk import WebClient

from tasks.http import Limits, received

LONGEST_S = 10.0  # of a call: the lease of `tasks/dispatch_outbox.py` reckons with it
MOST_BYTES = 32 * 1024 * 1024  # of an answer: a page of history is the largest
_LIMITS = Limits(most_bytes=MOST_BYTES, longest_s=LONGEST_S)


class SlackClient(WebClient):
    """A client that never retries by itself: a retry after a lost answer posts twice."""

    def __init__(self, http: httpx.Client, token: str, base_url: str) -> None:
        super().__init__(token=token, base_url=base_url, retry_handlers=[])
        self._http = http

    def _perform_urllib_http_request_internal(self, url: str, req: Request) -> dict[str, Any]:
        """Send a call, and return the answer as the SDK reads it.

        Raises:
            httpx.TransportError: no whole answer.
            tasks.request_body.Refusal: one that is too large or damaged.
            Refused: HTTP cannot carry the token.
        """
        body = req.data if isinstance(req.data, bytes) else b""
        request = httpx.Request("POST", url, content=body, headers=dict(req.header_items()))
        answer = received(self._http, request, _LIMITS)
        headers = {name.title(): value for name, value in answer.headers.items()}  # `Retry-After` is looked for so
        return {"status": answer.status_code, "headers": headers, "body": answer.content.decode()}
