"""Request bodies: read within bounds and decoded strictly, for the hot calls and for the routes alike."""

import time
from collections.abc import Generator
from functools import cache
from typing import Any, TypeVar

import msgspec
from litestar.dto import AbstractDTO, DTOFieldDefinition
from litestar.typing import FieldDefinition

from server.core.errors import Invalid, Refusal
from server.core.faults import fault_of
from server.web.bridge import Exchange, Gone, RequestHeaders
from server.web.incoming import Incoming, Patience, broken_off

Body = TypeVar("Body")

LARGEST_BODY = 16_384


def is_short(headers: RequestHeaders) -> bool:
    """Whether a request says how long its body is, and that is no more than this server takes."""
    length = headers.get("content-length", "")
    return length.isdigit() and int(length) <= LARGEST_BODY


async def read_body(headers: RequestHeaders, exchange: Exchange, patience: Patience) -> bytes:
    """The request's body, all of it.

    Raises:
        Refusal: `malformed` when it is larger than anything this server takes, breaks off, or takes too long.
    """
    if headers.get("content-length", ""):
        if not is_short(headers):
            raise Refusal("malformed")
        try:
            # faster than piece by piece; what breaks off is told from what ends here
            return await patience.wait(exchange(), patience.due(time.monotonic()))
        except Gone:
            raise broken_off() from None
    body = b""
    async for piece in Incoming(headers, exchange, patience):  # it does not say how much is to come
        body += piece
        if len(body) > LARGEST_BODY:
            raise Refusal("malformed")
    return body


def decode(decoder: msgspec.json.Decoder[Body], body: bytes) -> Body:
    """What the body says.

    Raises:
        Refusal: `malformed` where it is no JSON, `invalid` where fields are missing or of a wrong type.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Invalid(_faulty_field(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # the last: nested thousands deep
        raise Refusal("malformed") from None


def _faulty_field(error: msgspec.ValidationError) -> tuple[str, str]:
    """(field, fault)."""
    fault = fault_of(error)
    if fault.missing:
        return ".".join(filter(None, (fault.path, fault.missing))), "required"
    out_of_range = any(sign in fault.what for sign in (">=", "<=", "length"))
    return fault.path or "body", "range" if out_of_range else "type"


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


class Strict(AbstractDTO[Body]):
    """Decodes a route's `data`; Litestar itself would take 1 or "yes" for a boolean, and stumble over broken UTF-8."""

    def decode_bytes(self, value: bytes) -> Any:
        """The body, checked."""
        model: Any = self.model_type
        return decode(_decoder(model), value)

    @classmethod
    def create_for_field_definition(cls, *args: Any, **kwargs: Any) -> None:
        """Nothing to prepare."""

    @classmethod
    def create_openapi_schema(cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any) -> Any:
        """The type's own schema; Litestar does not say where unknown fields are refused."""
        schema = schema_creator.for_field_definition(field_definition)
        model: Any = cls.model_type
        if model.__struct_config__.forbid_unknown_fields:
            component = schema_creator.schema_registry.get_schema_for_field_definition(field_definition)
            component.additional_properties = False
        return schema

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        """Not asked for: types are decoded whole."""
        raise NotImplementedError

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """Not asked for: types are decoded whole."""
        raise NotImplementedError
