"""The app on Microsoft's worker library: index its functions, invoke them."""

import asyncio
import json
import logging
import secrets
import sys
import time
import uuid
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
    """The worker library on the running event loop; each invocation is a task of its own."""

    def __init__(self, app: Path) -> None:
        self._app = app
        self._running: set[asyncio.Task[Outcome]] = set()

    async def start(self) -> list[Function]:
        """Load the app; returns its functions with an HTTP or timer trigger, ordered by name.

        Raises:
            HostError: the app could not be loaded; the message holds the traceback.
        """
        sys.path.insert(0, str(self._app))
        runtime.start_threadpool_executor()
        content = Message(capabilities={}, function_app_directory=str(self._app))
        answer = await runtime.worker_init_request(_request("worker_init_request", content))
        if answer.result.status != PROTOS.StatusResult.Success:
            error = answer.result.exception
            raise HostError(f"The app could not be loaded: {error.message}\n{error.stack_trace}")
        request = _request("functions_metadata_request", Message())
        answer = await runtime.functions_metadata_request(request)
        if answer.function_metadata_results is None:
            raise HostError(f"There is no function_app.py in {self._app}.")
        functions = [_function(entry) for entry in answer.function_metadata_results]
        # The host's order decides which of two routes that match a path gets it.
        return sorted(filter(None, functions), key=lambda function: function.name.upper())

    async def invoke(self, function: Function, data: TypedData, reason: str) -> Outcome:
        """Run a function with its trigger's value and wait for its end.

        The function runs on when the waiting task is cancelled.
        """
        invocation = asyncio.create_task(_invoke(function, data, reason))
        self._running.add(invocation)
        invocation.add_done_callback(self._running.discard)
        return await asyncio.shield(invocation)

    async def wait_until_idle(self, timeout_s: float) -> bool:
        """Wait for the running invocations; returns whether all have ended in time."""
        if not self._running:
            return True
        _, late = await asyncio.wait(self._running, timeout=timeout_s)
        return not late


async def _invoke(function: Function, data: TypedData, reason: str) -> Outcome:
    invocation_id = str(uuid.uuid4())
    request = _request(
        "invocation_request",
        Message(
            invocation_id=invocation_id,
            function_id=function.id,
            input_data=[ParameterBinding(name=function.trigger["name"], data=data)],
            trigger_metadata={},
            trace_context=Message(trace_parent=_new_trace_parent(), trace_state="", attributes={}),
            retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
        ),
    )
    label = f"'Functions.{function.name}'"
    log.info("Executing %s (Reason='%s', Id=%s)", label, reason, invocation_id)
    began_s = time.monotonic()
    value: TypedData | None = None
    failure: str | None = None
    trace = ""
    try:
        answer = await runtime.invocation_request(request)
    except (KeyboardInterrupt, SystemExit) as error:
        # The library passes these on, and they would end the host's event loop.
        failure = repr(error)
    else:
        if answer.result.status == PROTOS.StatusResult.Success:
            value = answer.return_value
        else:
            failure, trace = answer.result.exception.message, answer.result.exception.stack_trace
    ended = f"Id={invocation_id}, Duration={round((time.monotonic() - began_s) * 1000)}ms"
    if failure is None:
        log.info("Executed %s (Succeeded, %s)", label, ended)
    else:
        log.error("Executed %s (Failed, %s)\n%s\n%s", label, ended, failure, trace)
    return Outcome(value=value, failure=failure)


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
