"""A stand-in for the generated protobuf module that the runtime library is handed.

The library only builds messages with keyword arguments, reads attributes, calls WhichOneof() and compares a few
enum members, so plain objects serve. Knows nothing of the host, HTTP or processes.
"""

from __future__ import annotations

from typing import Any, ClassVar


class Message:
    """Any protobuf message: its fields are its attributes."""

    oneof: ClassVar[str | None] = None  # what WhichOneof reports when several fields are set

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{type(self).__name__} has no field {name}")

    def WhichOneof(self, _group: str) -> str | None:
        return self.oneof or next(iter(self.__dict__), None)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.__dict__})"


class _Protos:
    """Makes one Message class per name asked for (InvocationResponse, TypedData, ...)."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = type(name, (Message,), {})
        setattr(self, name, made)
        return made


def _build() -> Any:
    made: Any = _Protos()
    made.ParameterBinding.oneof = "data"
    made.StatusResult.Failure, made.StatusResult.Success = 0, 1
    made.BindingInfo.undefined = 0
    for number, name in enumerate(("in", "out", "inout")):
        setattr(made.BindingInfo, name, number)
    made.RpcHttpCookie.SameSite = Message(**{"None": 0, "Lax": 1, "Strict": 2, "ExplicitNone": 3})
    return made


protos = _build()
_TRACE = Message(trace_parent="", trace_state="", attributes={})
_NO_RETRY = Message(retry_count=0, max_retry_count=0, exception=None)


def envelope(kind: str, **fields: Any) -> Message:
    """What the worker's dispatcher hands over: the streaming message plus its properties."""
    return Message(request=Message(**{kind: Message(**fields)}), properties={"host": "127.0.0.1", "protos": protos})


class HttpInvocation:
    """The InvocationRequest of a proxied HTTP request, which carries route parameters only.

    One object plays all the layers of the envelope, because one is made for every request.
    """

    __slots__ = ("function_id", "input_data", "invocation_id")
    trace_context, retry_context, trigger_metadata = _TRACE, _NO_RETRY, dict[str, Any]()

    def __init__(self, invocation_id: str, function_id: str, trigger: str, params: dict[str, str]) -> None:
        self.invocation_id, self.function_id = invocation_id, function_id
        self.input_data = (_HttpParameter(trigger, params),)

    @property
    def request(self) -> HttpInvocation:
        return self

    @property
    def invocation_request(self) -> HttpInvocation:
        return self


class _Empty:
    """A TypedData with nothing in it. Answers `TypedData` itself: the library asks, and a miss costs an exception."""

    @property
    def TypedData(self) -> _Empty:
        return self

    def WhichOneof(self, _group: str) -> None:
        return None


class _HttpParameter:
    """ParameterBinding, the TypedData in it and the RpcHttp in that, in one."""

    __slots__ = ("name", "params")
    method, url, body = "", "", _Empty()
    headers, query = dict[str, str](), dict[str, str]()

    def __init__(self, name: str, params: dict[str, str]) -> None:
        self.name, self.params = name, params

    @property
    def data(self) -> _HttpParameter:
        return self

    @property
    def TypedData(self) -> _HttpParameter:
        return self

    @property
    def http(self) -> _HttpParameter:
        return self

    def WhichOneof(self, group: str) -> str:
        return "http" if group == "data" else "data"
