"""Changes as JSON and back: what a journal writes before the kernel is asked, and reads after a power cut.

A dataclass becomes an object that names its class under ``is`` and leaves out what has its default; tuples become
lists, mappings objects without ``is``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from brdhcp.netlink import change, observe

CLASSES: dict[str, type[Any]] = {
    name: kind
    for module in (change, observe)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and dataclasses.is_dataclass(kind)
}


def to_json(value: Any) -> Any:
    """JSON values for a dataclass of this package, and for tuples and mappings of them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
        said = {field.name: to_json(content) for field, content in fields if content != _default(field)}
        return {"is": type(value).__name__, **said}
    if isinstance(value, Mapping):
        return {key: to_json(content) for key, content in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(content) for content in value]
    return value


def from_json(value: Any, more: Iterable[type[Any]] = ()) -> Any:
    """The way back; ``more`` are dataclasses of the caller's. Raises ``ValueError`` for what was never written here."""
    return _decode(value, {**CLASSES, **{kind.__name__: kind for kind in more}})


def _decode(value: Any, classes: Mapping[str, type[Any]]) -> Any:
    if isinstance(value, list):
        return tuple(_decode(content, classes) for content in value)
    if not isinstance(value, dict):
        return value
    fields = {key: _decode(content, classes) for key, content in value.items() if key != "is"}
    if "is" not in value:
        return MappingProxyType(fields)
    try:
        return classes[value["is"]](**fields)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"not a record of ours: {value['is']!r} with {', '.join(fields) or 'nothing'}"
        ) from error


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
