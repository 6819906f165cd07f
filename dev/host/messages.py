"""The messages that the worker library exchanges with a host, as plain objects.

In Azure they are protobuf. The library builds and reads them through the object `protos` that the
host hands it, so objects with the same attributes do.
"""

from types import SimpleNamespace


class Message(SimpleNamespace):
    """A message with the fields that it was made with."""


class TypedData(Message):
    """A value in exactly one of its fields, such as http, json, string or bytes."""

    def WhichOneof(self, group: str) -> str | None:  # noqa: N802 - protobuf's name
        """The name of the field that is set."""
        if group != "data":
            raise ValueError(group)
        return next(iter(vars(self)), None)


class ParameterBinding(Message):
    """The value of one parameter of a function."""

    def WhichOneof(self, group: str) -> str | None:  # noqa: N802 - protobuf's name
        """The name of the field that is set."""
        if group != "rpc_data":
            raise ValueError(group)
        return "data"


class BindingInfo(Message):
    """A binding of a function; the directions are those of azure-functions."""

    undefined = 0
    out = 1
    inout = 2


class StatusResult(Message):
    """Whether a request succeeded."""

    Failure = 0
    Success = 1


PROTOS = SimpleNamespace(
    BindingInfo=BindingInfo,
    ParameterBinding=ParameterBinding,
    StatusResult=StatusResult,
    TypedData=TypedData,
    **dict.fromkeys(
        (
            "FunctionMetadataResponse",
            "InvocationResponse",
            "RpcException",
            "RpcFunctionMetadata",
            "RpcHttp",
            "WorkerInitResponse",
            "WorkerMetadata",
        ),
        Message,
    ),
)
