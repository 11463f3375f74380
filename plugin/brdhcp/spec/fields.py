"""Reading JSON objects strictly: every fault is collected with the path of its key, none stops the reading.

``decode`` turns bytes into JSON and refuses what Python's reader lets pass (a key twice, NaN, text that is
not UTF-8); ``Section`` reads the keys of one object and knows which were never asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from brdhcp.errors import InvalidConfiguration, Undecodable, UnsupportedField


class _AmbiguousError(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise _AmbiguousError(f"twice in one object: {', '.join(twice)}")
    return found


def _no_constant(name: str) -> None:
    raise _AmbiguousError(f"{name} is not JSON")


def decode(data: bytes, what: str = "the network configuration on stdin") -> dict[str, Any]:
    """One JSON object. Raises Undecodable (code 6), with line and column where there are any."""
    if not data.strip():
        raise Undecodable(
            f"{what} is empty", "a runtime writes the network configuration as JSON to the plugin's stdin"
        )
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise Undecodable(
            f"{what} has half a character", "an escape \\ud800 to \\udfff without its other half"
        ) from error
    except UnicodeDecodeError as error:
        raise Undecodable(
            f"{what} is not UTF-8", f"byte {error.start} is 0x{data[error.start]:02x}"
        ) from error
    except json.JSONDecodeError as error:
        raise Undecodable(
            f"{what} is not JSON", f"{error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except _AmbiguousError as error:
        raise Undecodable(f"{what} is ambiguous", str(error)) from error
    except (RecursionError, ValueError) as error:
        raise Undecodable(
            f"{what} cannot be read", f"{type(error).__name__}: nested too deeply or a number too long"
        ) from error
    if not isinstance(value, dict):
        raise Undecodable(f"{what} is not a JSON object", f"it is {json_type(value)}")
    return value


def json_type(value: object) -> str:
    """What a person calls this JSON value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f'"{value}"'
    return "a list" if isinstance(value, list) else "an object"


@dataclass(slots=True)
class Faults:
    """What is wrong so far: ``invalid`` (code 7) and ``unsupported`` (code 2), in the order of finding."""

    invalid: list[str] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)

    def raise_if_any(self, details: str = "") -> None:
        """One error for all of them: InvalidConfiguration, or UnsupportedField when that is all there is."""
        kind = InvalidConfiguration if self.invalid else UnsupportedField
        if self.invalid or self.unsupported:
            raise kind("; ".join(self.invalid + self.unsupported), details)


class Section:
    """The keys of one JSON object; ``where`` is its path in the document, ``""`` for the document itself."""

    def __init__(self, data: Mapping[str, Any], where: str, faults: Faults) -> None:
        self._data = data
        self._where = where
        self._asked: set[str] = set()
        self.faults = faults

    def path(self, key: str) -> str:
        return f"{self._where}.{key}" if self._where else key

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    @property
    def asked(self) -> frozenset[str]:
        """The keys that were asked for so far: those that are known."""
        return frozenset(self._asked)

    @property
    def empty(self) -> bool:
        return not self._data

    def invalid(self, key: str, why: str) -> None:
        self.faults.invalid.append(f"{self.path(key)} {why}")

    def unsupported(self, key: str, why: str) -> None:
        self.faults.unsupported.append(f"{self.path(key)} {why}")

    def raw(self, key: str) -> Any:
        """The value as it came; null is the same as no key."""
        self._asked.add(key)
        return self._data.get(key)

    def boolean(self, key: str, default: bool = False) -> bool:
        value = self.raw(key)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.invalid(key, f"must be true or false, not {json_type(value)}")
        return default

    def string(self, key: str, default: str = "", fault: Callable[[str], str | None] = lambda _: None) -> str:
        """A string; ``fault`` says what is wrong with a value, or None."""
        value = self.raw(key)
        if value is None:
            return default
        if not isinstance(value, str):
            self.invalid(key, f"must be a string, not {json_type(value)}")
        elif why := fault(value):
            self.invalid(key, f'"{value}" {why}')
        else:
            return value
        return default

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        return self.string(
            key, default, lambda v: None if v in choices else f"is not one of {', '.join(choices)}"
        )

    def integer(self, key: str, low: int, high: int, default: int) -> int:
        value = self.raw(key)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            self.invalid(key, f"must be a whole number, not {json_type(value)}")
        elif not low <= value <= high:
            self.invalid(key, f"is {value}, must be from {low} to {high}")
        else:
            return value
        return default

    def seconds(self, key: str, low: float, high: float, default: float) -> float:
        value = self.raw(key)
        if value is None:
            return default
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            self.invalid(key, f"must be a number of seconds, not {json_type(value)}")
        elif not low <= value <= high:
            self.invalid(key, f"is {value}, must be from {low} to {high} seconds")
        else:
            return float(value)
        return default

    def strings(
        self, key: str, fault: Callable[[str], str | None] = lambda _: None, *, one: bool = False
    ) -> tuple[str, ...]:
        """A list of strings; with ``one``, a single string stands for a list of itself."""
        value = self.raw(key)
        if value is None:
            return ()
        if one and isinstance(value, str):
            value = [value]
        if not isinstance(value, list):
            self.invalid(key, f"must be a list of strings, not {json_type(value)}")
            return ()
        good = []
        for index, item in enumerate(value):
            if not isinstance(item, str):
                self.invalid(f"{key}[{index}]", f"must be a string, not {json_type(item)}")
            elif why := fault(item):
                self.invalid(f"{key}[{index}]", f'"{item}" {why}')
            else:
                good.append(item)
        return tuple(good)

    def section(self, key: str) -> Section | None:
        """A nested object, or None when it is absent or no object (then a fault)."""
        value = self.raw(key)
        if value is None:
            return None
        if isinstance(value, dict):
            return Section(value, self.path(key), self.faults)
        self.invalid(key, f"must be an object, not {json_type(value)}")
        return None

    def sections(self, key: str) -> Iterator[Section]:
        """The objects of a list of objects."""
        value = self.raw(key)
        if value is None:
            return
        if not isinstance(value, list):
            self.invalid(key, f"must be a list of objects, not {json_type(value)}")
            return
        for index, item in enumerate(value):
            if isinstance(item, dict):
                yield Section(item, f"{self.path(key)}[{index}]", self.faults)
            else:
                self.invalid(f"{key}[{index}]", f"must be an object, not {json_type(item)}")

    def ignore(self, *keys: str) -> None:
        """These keys are known and mean nothing here."""
        self._asked.update(keys)

    def refuse_unknown(self, also_known: Iterable[str] = (), hints: Mapping[str, str] | None = None) -> None:
        """A fault for each key that nobody asked for, with the nearest known one or the ``hints`` for that
        key.
        """
        known = self._asked.union(also_known)
        lowered = {key.lower(): key for key in known}
        for key in self._data:
            if key in known:
                continue
            near = get_close_matches(key.lower(), lowered, n=1, cutoff=0.7)
            hint = (hints or {}).get(key) or (f'did you mean "{lowered[near[0]]}"?' if near else "")
            self.unsupported(key, f"is not a key of brdhcp{f': {hint}' if hint else ''}")
