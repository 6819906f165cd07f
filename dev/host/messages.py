"""The messages that the worker library exchanges with a host, as plain objects.

In Azure they are protobuf; the library builds and reads them through the object `protos` that the
host hands it, so that objects with the same attributes do.
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


class SameSite:
    """A cookie's SameSite, by the name that goes into the header."""

    Lax = "Lax"
    Strict = "Strict"
    ExplicitNone = "None"


setattr(SameSite, "None", "")


class RpcHttpCookie(Message):
    """A cookie of an answer."""

    SameSite = SameSite


PROTOS = SimpleNamespace(
    BindingInfo=BindingInfo,
    ParameterBinding=ParameterBinding,
    RpcHttpCookie=RpcHttpCookie,
    StatusResult=StatusResult,
    TypedData=TypedData,
    **dict.fromkeys(
        (
            "FunctionEnvironmentReloadResponse",
            "FunctionLoadResponse",
            "FunctionMetadataResponse",
            "InvocationResponse",
            "NullableBool",
            "NullableDouble",
            "NullableString",
            "NullableTimestamp",
            "RpcException",
            "RpcFunctionMetadata",
            "RpcHttp",
            "RpcRetryOptions",
            "Timestamp",
            "WorkerInitResponse",
            "WorkerMetadata",
        ),
        Message,
    ),
)
