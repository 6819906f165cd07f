"""The app on Microsoft's worker library: index its functions, invoke them."""

import asyncio
import json
import logging
import secrets
import sys
import threading
import time
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import azure_functions_runtime as runtime

from dev.host.errors import HostError
from dev.host.messages import PROTOS, Message, ParameterBinding, TypedData

log = logging.getLogger("host")

TRIGGERS = ("httpTrigger", "timerTrigger")


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function of the app; `trigger` is its trigger binding as in function.json."""

    id: str
    name: str
    trigger: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an invocation gave: a value, or the failure's message."""

    value: TypedData | None
    failure: str | None


class Worker:
    """The worker library on an event loop of its own, as in a worker process in Azure."""

    def __init__(self, app: Path) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="worker", daemon=True)
        self._running = 0
        self._idle = threading.Condition()

    def start(self) -> list[Function]:
        """Load the app; returns its functions with an HTTP or timer trigger, ordered by name.

        Raises:
            HostError: the app could not be loaded; the message holds the traceback.
        """
        sys.path.insert(0, str(self._app))
        self._thread.start()
        runtime.start_threadpool_executor()
        request = _request(
            "worker_init_request",
            Message(capabilities={}, function_app_directory=str(self._app)),
        )
        answer = self._wait_for(runtime.worker_init_request(request))
        if answer.result.status != PROTOS.StatusResult.Success:
            error = answer.result.exception
            raise HostError(f"The app could not be loaded: {error.message}\n{error.stack_trace}")
        metadata = self._wait_for(
            runtime.functions_metadata_request(_request("functions_metadata_request", Message()))
        ).function_metadata_results
        if metadata is None:
            raise HostError(f"There is no function_app.py in {self._app}.")
        functions = [function for entry in metadata if (function := _function(entry)) is not None]
        # The host's order decides which of two routes that fit a path gets it.
        return sorted(functions, key=lambda function: function.name.upper())

    def invoke(self, function: Function, data: TypedData, reason: str) -> Outcome:
        """Run a function with its trigger's value and wait for its end."""
        invocation_id = str(uuid.uuid4())
        request = _request(
            "invocation_request",
            Message(
                invocation_id=invocation_id,
                function_id=function.id,
                input_data=[ParameterBinding(name=function.trigger["name"], data=data)],
                trigger_metadata={},
                trace_context=Message(
                    trace_parent=_new_trace_parent(), trace_state="", attributes={}
                ),
                retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
            ),
        )
        label = f"'Functions.{function.name}'"
        log.info("Executing %s (Reason='%s', Id=%s)", label, reason, invocation_id)
        with self._idle:
            self._running += 1
        began_s = time.monotonic()
        try:
            answer = self._wait_for(runtime.invocation_request(request))
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()
        duration_ms = round((time.monotonic() - began_s) * 1000)
        if answer.result.status != PROTOS.StatusResult.Success:
            error = answer.result.exception
            log.error(
                "Executed %s (Failed, Id=%s, Duration=%dms)\n%s\n%s",
                label,
                invocation_id,
                duration_ms,
                error.message,
                error.stack_trace,
            )
            return Outcome(value=None, failure=error.message)
        log.info("Executed %s (Succeeded, Id=%s, Duration=%dms)", label, invocation_id, duration_ms)
        return Outcome(value=answer.return_value, failure=None)

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Wait for the running invocations; returns whether all have ended in time."""
        with self._idle:
            return self._idle.wait_for(lambda: self._running == 0, timeout_s)

    def _wait_for(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _new_trace_parent() -> str:
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def _request(kind: str, content: Message) -> Message:
    return Message(
        request=Message(**{kind: content}), properties={"host": "127.0.0.1", "protos": PROTOS}
    )


def _function(metadata: Any) -> Function | None:
    bindings = [json.loads(binding) for binding in metadata.raw_bindings]
    for binding in bindings:
        if binding["type"] in TRIGGERS:
            return Function(id=metadata.function_id, name=metadata.name, trigger=binding)
    log.warning(
        "The function %s has a trigger that this host does not know and is not run.", metadata.name
    )
    return None
