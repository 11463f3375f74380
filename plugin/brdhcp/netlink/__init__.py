"""Steps as data, done and undone in the kernel: the only package that knows pyroute2.

Of pyroute2 only the message classes are used. Importing one of them runs the package's own ``__init__`` first, which
imports all there is (150 ms of processor time where the messages take 20), and every ``brdhcpctl`` and every start of
the agent would pay for it. So that ``__init__`` is put off until somebody asks for something that it defines.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Later(ModuleType):
    """A package whose ``__init__`` runs when something is missing that is no submodule of it."""

    def __getattr__(self, name: str) -> object:
        spec = self.__spec__
        if name.startswith("__") or spec is None or spec.loader is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if importlib.util.find_spec(f"{self.__name__}.{name}") is not None:
            return importlib.import_module(f"{self.__name__}.{name}")
        object.__setattr__(self, "__class__", ModuleType)
        spec.loader.exec_module(self)
        return getattr(self, name)


def _put_off(spec: ModuleSpec | None) -> None:
    if spec is not None and spec.name not in sys.modules:
        module = sys.modules[spec.name] = _Later(spec.name)
        module.__spec__, module.__loader__, module.__file__ = spec, spec.loader, spec.origin
        module.__path__ = list(spec.submodule_search_locations or ())


_put_off(importlib.util.find_spec("pyroute2"))
