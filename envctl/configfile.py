"""Reading and writing ``envctl.yaml``: every fault of a bad file in one message, each with its line and key.

YAML 1.2 by ruamel.yaml, which remembers where each key stood. Values are checked by the models of
:mod:`envctl.config`; a key that is wrong is set aside and the rest is checked on, so that one run names all.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from envctl.config import VERSION, Config, Location, contradictions
from envctl.errors import UsageError

DEFAULT = Path("envctl.yaml")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: ``line`` counts from 1, 0 when there is none to name."""

    line: int
    key: str
    sentence: str

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.key} {self.sentence}".replace("  ", " ").strip()


class ConfigError(UsageError):
    """The file is wrong; ``faults`` has all of it."""

    def __init__(self, source: str, faults: Sequence[Fault]) -> None:
        self.source = source
        self.faults = tuple(sorted(faults, key=lambda fault: (fault.line, fault.key)))
        count = "one fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__(
            f"{source} has {count}",
            cause="\n".join(str(fault) for fault in self.faults),
            hint="envctl config view shows every key with its default; envctl config schema is for editors.",
        )

    def as_json(self) -> dict[str, object]:
        faults = [{"line": fault.line, "key": fault.key, "fault": fault.sentence} for fault in self.faults]
        return {**super().as_json(), "source": self.source, "faults": faults}


def load(
    file: str | None = None, *, name: str | None = None, provider: str | None = None, guest: str | None = None
) -> Config:
    """The configuration of ``file``; ``-`` is standard input; without one, ``envctl.yaml`` or the defaults.

    ``name``, ``provider`` and ``guest`` replace what the file says. Raises :class:`ConfigError` or :class:`UsageError`.
    """
    chosen = (("name", name), ("provider", provider), ("guest", guest))
    over = {key: value for key, value in chosen if value is not None}
    if file == "-":
        return parse(sys.stdin.read(), "standard input", over)
    path = DEFAULT if file is None else Path(file)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if file is None:
            return from_data(dict(over), "the command line", {})
        raise UsageError(f"there is no file {file}", hint="envctl config init writes one.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file or path} cannot be read", cause=str(error)) from error
    return parse(text, str(path), over)


def parse(text: str, source: str, over: Mapping[str, str] | None = None) -> Config:
    """The configuration in a YAML text; ``over`` replaces top-level keys."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        data = YAML(typ="rt", pure=True).load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        problem = (error.problem or "is not YAML").split("\n")[0]
        raise ConfigError(source, [Fault(line, "", problem)]) from error
    except YAMLError as error:
        raise ConfigError(source, [Fault(0, "", f"is not YAML: {error}")]) from error
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(source, [Fault(1, "", "the file must be a mapping of keys to values")])
    lines = dict(_lines(data, ()))
    plain = _plain(data)
    plain.update(over or {})
    missing = Fault(0, "version", f"is missing; the file begins with version: {VERSION}")
    faults = [] if "version" in plain else [missing]
    return from_data(plain, source, lines, faults)


def from_data(
    data: MutableMapping[Any, Any], source: str, lines: Mapping[Location, int], known: Sequence[Fault] = ()
) -> Config:
    """Check plain data; faulty keys are set aside and the rest is checked on, until all of them are named."""
    faults = list(known)
    wrong: set[Location] = set()
    while True:
        try:
            config = Config.model_validate(data)
            break
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                key = _key_path(data, detail["loc"])
                faults.append(Fault(_line(lines, key), ".".join(key), _sentence(detail, key)))
                wrong.add(key)
                _set_aside(data, key)
    for key, sentence in contradictions(config):
        if key not in wrong:
            faults.append(Fault(_line(lines, key), ".".join(key), sentence))
    if faults:
        raise ConfigError(source, faults)
    return config


def _lines(node: Any, path: Location) -> Iterator[tuple[Location, int]]:
    """Where each key stands, counting from 1."""
    for key, value in node.items():
        here = (*path, str(key))
        yield here, node.lc.key(key)[0] + 1
        if isinstance(value, dict):
            yield from _lines(value, here)


def _plain(node: Any) -> Any:
    """The same data without ruamel's classes; keys as strings."""
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node if node is None else str(node)


def _line(lines: Mapping[Location, int], key: Location) -> int:
    """The line of the key, or of the nearest one above it that was written."""
    while key:
        if key in lines:
            return lines[key]
        key = key[:-1]
    return 0


def _key_path(data: Any, loc: Sequence[int | str]) -> Location:
    """The part of a pydantic location that names keys of the file (list indices and the like fall off)."""
    path: list[str] = []
    for part in loc:
        if not isinstance(data, Mapping):
            break
        path.append(str(part))
        data = data.get(part)
    return tuple(path)


def _set_aside(data: Any, key: Location) -> None:
    for part in key[:-1]:
        data = data[part]
    data.pop(key[-1], None)


def _keys_at(path: Location) -> list[str]:
    """The keys that the model knows at this place."""
    model: Any = Config
    for part in path:
        field = next((f for name, f in model.model_fields.items() if part in (name, f.alias)), None)
        model = field.annotation if field else None
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _guess(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word.lower(), [key.lower() for key in known], n=1, cutoff=0.6)
    meant = next((key for key in known if close and key.lower() == close[0]), None)
    return f"; did you mean {meant}?" if meant else f"; known here: {', '.join(known)}" if known else ""


_SENTENCES = {
    "int_parsing": "must be a whole number, not {value!r}",
    "int_type": "must be a whole number, not {value!r}",
    "int_from_float": "must be a whole number, not {value!r}",
    "greater_than_equal": "must be at least {ge}, not {value}",
    "less_than_equal": "must be at most {le}, not {value}",
    "string_type": "must be text, not {value!r}",
    "ip_v4_address": "must be an IPv4 address, not {value!r}",
    "ip_v4_network": "must be an IPv4 network such as 172.16.91.0/24, without host bits, not {value!r}",
    "ip_v6_network": "must be an IPv6 network such as 2001:db8::/64, without host bits, not {value!r}",
    "model_type": "must hold keys of its own ({keys}), not {value!r}",
    "model_attributes_type": "must hold keys of its own ({keys}), not {value!r}",
    "dict_type": "must hold keys of its own, not {value!r}",
}


_PATTERNS = {
    "name": "must be 1 to 20 of a-z, 0-9 and -, beginning with a letter, not {value!r}",
    "bridge": "must be an interface name: 1 to 15 characters, no spaces, slashes or colons, not {value!r}",
    "interface": "must be an interface name: 1 to 15 characters, no spaces, slashes or colons, not {value!r}",
    "network": "must be letters, digits, dots, dashes and underscores, not {value!r}",
}


def _sentence(detail: Any, key: Location) -> str:
    """One of pydantic's errors in our words."""
    kind, value = detail["type"], detail.get("input")
    if kind == "extra_forbidden":
        return "is not a key" + _guess(key[-1], _keys_at(key[:-1]))
    if kind == "literal_error":
        allowed = str(detail["ctx"]["expected"]).replace("'", "")
        choices = allowed.replace(" or ", ", ").split(", ")
        close = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.6)
        return f"must be {allowed}, not {value!r}" + (f"; did you mean {close[0]}?" if close else "")
    if kind == "string_pattern_mismatch":
        return _PATTERNS[key[-1]].format(value=value)
    words = {"value": value, "keys": ", ".join(_keys_at(key)), **detail.get("ctx", {})}
    return _SENTENCES.get(kind, str(detail["msg"])).format_map(words)


def dump(config: Config) -> str:
    """The whole configuration as YAML, defaults included."""
    return render(config.model_dump(mode="json", by_alias=True))


def render(data: object) -> str:
    """Plain data as block YAML."""
    import io

    from ruamel.yaml import YAML

    out = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 110
    yaml.dump(data, out)
    return out.getvalue()


def commented() -> str:
    """A complete ``envctl.yaml`` with the defaults, each key with its description, made from the models."""
    return "# Every key of an environment, with its default.\n" + "\n".join(_commented(Config(), "")) + "\n"


def _commented(model: BaseModel, indent: str) -> Iterator[str]:
    for name, field in type(model).model_fields.items():
        key, value = field.alias or name, getattr(model, name)
        if isinstance(value, BaseModel):
            summary = (type(value).__doc__ or "").strip()
            yield f"{indent}{key}:  # {summary}"
            yield from _commented(value, indent + "  ")
        else:
            shown = {None: "null"}.get(value, str(value)) if not isinstance(value, dict) else "{}"
            yield f"{indent}{key}: {shown}  # {field.description}"
