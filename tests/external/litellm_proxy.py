"""Post from a real LiteLLM proxy to a real receiver, and compare what is stored with what the proxy answered.

    python tests/external/litellm_proxy.py [--venv FOLDER] [--batch-size N] [--json FILE]

Installs `litellm[proxy]` into an environment of its own, a temporary one unless `--venv` names one to keep; says so
and stops where it cannot be installed. No model is called: the proxy answers by itself (`mock_response`). Not part of
`make test`: it downloads some 250 packages.

LiteLLM 1.106 empties its queue behind each post, also of what was logged while the post was on its way: with its own
batch size of 512 rows get lost before they leave it (`--batch-size 512` shows it), with 1 none does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from tasks.embedded_postgres import Cluster
from tasks.prefect_server import free_port
from tasks.resources import create_database
from tasks.stores.tables import usage_events, usage_rejects

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-of-the-external-test"  # noqa: S105  no secret
KEY = "sk-external-test"
PATIENCE_S = 120
CONFIG = """
model_list:
  - {{model_name: chat, litellm_params: {{model: openai/gpt-4o-mini, api_key: none, mock_response: "Hello to you."}}}}
  - {{model_name: claude, litellm_params: {{model: anthropic/claude-sonnet-4-5-20250929, api_key: none, mock_response: "Hello."}}}}
  - {{model_name: embedding, litellm_params: {{model: openai/text-embedding-3-small, api_key: none, mock_response: [0.1, 0.2]}}}}
  - {{model_name: failing, litellm_params: {{model: openai/gpt-4o-mini, api_key: none, mock_response: "litellm.RateLimitError"}}}}
litellm_settings:
  callbacks: [watchkeeper]
  cache: true
  cache_params: {{type: local, supported_call_types: [acompletion]}}
  num_retries: 0
router_settings: {{num_retries: 0, disable_cooldowns: true}}
general_settings: {{master_key: {key}}}
callback_settings:
  watchkeeper:
    callback_type: generic_api
    endpoint: {receiver}/litellm
    headers: {{Authorization: "Bearer {token}"}}
    max_retries: 8
    retry_delay: 1
    log_format: {log_format}
"""  # noqa: E501  YAML


@dataclass(frozen=True)
class Case:
    """A request, and what the proxy answered to it."""

    name: str
    path: str
    body: dict[str, Any]
    status: int = 0
    cost_usd: Decimal | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    is_cached: bool = False


def main() -> None:
    """Send, wait, compare."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        python = _installed(arguments.venv or Path(folder) / "venv")
        found = [
            problem
            for log_format in ("json_array", "ndjson", "single")
            for problem in _try(python, Path(folder), log_format, arguments.batch_size)
        ]
    for problem in found:
        print(f"DIFFERENT: {problem}")
    print("events and costs equal what the proxy answered" if not found else f"{len(found)} differences")
    if arguments.json:
        arguments.json.write_text(json.dumps({"differences": found}, indent=2))
    sys.exit(1 if found else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", type=Path, help="made, and kept, here")
    parser.add_argument("--batch-size", type=int, default=1, help="LiteLLM's DEFAULT_BATCH_SIZE")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


def _installed(folder: Path) -> Path:
    """Return the environment's Python, or stop with a message."""
    python = folder / "bin" / "python"
    if not (folder / "bin" / "litellm").exists():
        venv.create(folder, with_pip=True)
        done = subprocess.run([str(python), "-m", "pip", "install", "--quiet", "litellm[proxy]"], check=False)
        if done.returncode != 0:
            print("SKIPPED: litellm[proxy] cannot be installed here")
            sys.exit(0)
    return python


def _try(python: Path, folder: Path, log_format: str, batch_size: int) -> list[str]:
    with Cluster(folder / log_format).use() as cluster:
        create_database(cluster.url("postgres"), "received")
        url = cluster.url("received")
        with _receiver(url) as receiver, _proxy(python, folder, receiver, log_format, batch_size) as proxy:
            answered = [_send(proxy, case) for case in _cases()]
            rows, rejects = _stored(url, len(answered))
    print(f"{log_format}: {len(answered)} requests, {sum(map(len, rows.values()))} events, {rejects} rejects")
    return [f"{log_format}: {problem}" for problem in _differences(answered, rows, rejects)]


def _cases() -> Iterator[Case]:
    def chat(name: str, model: str, text: str, **more: Any) -> Case:
        body = {"model": model, "messages": [{"role": "user", "content": text}], "user": name, **more}
        return Case(name, "/v1/chat/completions", body)

    for number in range(5):
        yield chat(f"chat-{number}", "chat", f"question {number}")
        yield chat(f"claude-{number}", "claude", f"question {number}")
        yield chat(f"stream-{number}", "chat", f"tell {number}", stream=True, stream_options={"include_usage": True})
        yield chat(f"failing-{number}", "failing", f"fail {number}")
        body = {"model": "embedding", "input": f"text {number}", "user": f"embedding-{number}"}
        yield Case(f"embedding-{number}", "/v1/embeddings", body)
    yield chat("cached", "chat", "the same")
    for _ in range(2):
        yield replace(chat("cached", "chat", "the same"), is_cached=True)


def _send(proxy: httpx.Client, case: Case) -> Case:
    answer = proxy.post(case.path, json=case.body)
    usage = _usage(answer)
    cost = answer.headers.get("x-litellm-response-cost")
    return replace(
        case, status=answer.status_code, cost_usd=round(Decimal(cost), 12) if cost else None,
        input_tokens=usage.get("prompt_tokens"), output_tokens=usage.get("completion_tokens"),
    )  # fmt: skip


def _usage(answer: httpx.Response) -> dict[str, Any]:
    """Return the tokens that the proxy answered; of a stream, its last word on them."""
    if answer.status_code != 200:
        return {}
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return dict(answer.json().get("usage") or {})
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    return next((usage for line in reversed(lines) if (usage := json.loads(line).get("usage"))), {})


def _differences(answered: list[Case], rows: dict[str, list[Any]], rejects: int) -> Iterator[str]:
    if rejects:
        yield f"{rejects} rejects"
    for name, count in Counter(case.name for case in answered).items():
        if len(rows.get(name, ())) != count:
            yield f"{name}: {count} requests, {len(rows.get(name, ()))} events"
    seen: Counter[str] = Counter()
    for case in answered:
        found = rows.get(case.name, [])
        if seen[case.name] < len(found):
            yield from _of_one(case, found[seen[case.name]])
        seen[case.name] += 1


def _of_one(case: Case, row: Any) -> Iterator[str]:
    if (row.status == "success") != (case.status == 200):
        yield f"{case.name}: answered {case.status}, stored as {row.status}"
    if case.status != 200:
        return
    if (case.input_tokens, case.output_tokens or 0) != (row.input_tokens, row.output_tokens or 0):
        yield f"{case.name}: tokens {case.input_tokens}/{case.output_tokens}, {row.input_tokens}/{row.output_tokens}"
    if bool(row.cache_hit) != case.is_cached:
        yield f"{case.name}: cache_hit {row.cache_hit}"
    if row.cost_usd != row.reported_cost_usd:
        yield f"{case.name}: our cost {row.cost_usd}, response_cost {row.reported_cost_usd}"
    if case.cost_usd is not None and not case.is_cached and row.cost_usd != case.cost_usd:  # it names the saved cost
        yield f"{case.name}: our cost {row.cost_usd}, the proxy's header {case.cost_usd}"


@contextmanager
def _receiver(url: str) -> Iterator[str]:
    environment = {**os.environ, "DATABASE_URL": url.replace("+psycopg", ""), "WATCHKEEPER_RECEIVER__TOKEN": TOKEN,
                   "PYTHONPATH": str(ROOT)}  # fmt: skip
    command = [sys.executable, "-m", "cli.main", "receive", "--port", "0"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[2]
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def _proxy(python: Path, folder: Path, receiver: str, log_format: str, batch_size: int) -> Iterator[httpx.Client]:
    config, log = folder / f"{log_format}.yaml", folder / f"{log_format}.log"
    config.write_text(CONFIG.format(receiver=receiver, token=TOKEN, key=KEY, log_format=log_format))
    port = free_port()
    command = [str(python.parent / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    environment = {name: text for name, text in os.environ.items() if name not in {"DATABASE_URL", "PYTHONPATH"}}
    environment |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "DEFAULT_FLUSH_INTERVAL_SECONDS": "1",
                    "DEFAULT_BATCH_SIZE": str(batch_size), "NO_PROXY": "*"}  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        headers = {"authorization": f"Bearer {KEY}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60, trust_env=False) as client:
            try:
                _wait_for(client, process, log)
                yield client
            finally:
                process.terminate()
                process.wait()


def _wait_for(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.get("/health/liveliness").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.5)
    sys.exit(f"the proxy does not answer:\n{log.read_text(errors='replace')[-3000:]}")


def _stored(url: str, count: int) -> tuple[dict[str, list[Any]], int]:
    """Return the events by who asked, the earliest first, when there are as many as wanted or no more come."""
    engine = sa.create_engine(url)
    deadline = time.monotonic() + 30
    while True:
        with engine.connect() as connection:
            rows = list(connection.execute(sa.select(usage_events).order_by(usage_events.c.occurred_at)))
            rejects = connection.execute(sa.select(sa.func.count()).select_from(usage_rejects)).scalar_one()
        if len(rows) >= count or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    engine.dispose()
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row.user_id or row.event_id, []).append(row)
    return found, int(rejects)


if __name__ == "__main__":
    main()
