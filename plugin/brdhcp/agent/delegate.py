"""Handing IPAM to another executable, as the CNI SPEC says (section "Plugin Delegation").

The delegate gets the variables and the configuration that we got. Its result comes back as JSON, its error as the
error it is: code, msg and details, never a string of a string.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from brdhcp.errors import CniError, InvalidConfiguration, TryAgainLater, Undecodable

DEADLINE_S = 60.0


class DelegateError(CniError):
    """The error of a delegate, with the code that it gave."""

    def __init__(self, code: int, msg: str, details: str) -> None:
        super().__init__(msg, details)
        self.code = code


def find(plugin: str, search_path: str) -> Path:
    """The executable of ``plugin`` on ``CNI_PATH``. Raises ``InvalidConfiguration`` naming where was looked."""
    for folder in filter(None, search_path.split(":")):
        candidate = Path(folder) / plugin
        if "/" not in plugin and candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    raise InvalidConfiguration(
        f"ipam.type {plugin!r} is not found on CNI_PATH {search_path!r}",
        "install that plugin there, or use ipam.type dhcp, which the agent does itself",
    )


async def call(
    plugin: str,
    verb: str,
    environment: Mapping[str, str],
    stdin: bytes,
    netns: str,
    deadline: float = DEADLINE_S,
) -> dict[str, object]:
    """Run the delegate with ``CNI_COMMAND`` set to ``verb`` and return its JSON result (empty where it has none).

    Raises ``DelegateError`` with its own error, ``TryAgainLater`` when it does not end within ``deadline`` seconds.
    """
    executable = find(plugin, environment.get("CNI_PATH", ""))
    variables = {**os.environ, **environment, "CNI_COMMAND": verb, "CNI_NETNS": netns}
    process = await asyncio.create_subprocess_exec(
        executable, env=variables, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(deadline):
            stdout, stderr = await process.communicate(stdin)
    except TimeoutError:
        raise TryAgainLater(f"the IPAM plugin {plugin} did not answer {verb} within {deadline:g} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return _outcome(plugin, verb, process.returncode or 0, stdout, stderr)


def _outcome(plugin: str, verb: str, status: int, stdout: bytes, stderr: bytes) -> dict[str, object]:
    try:
        body = json.loads(stdout) if stdout.strip() else {}
    except ValueError:
        body = None
    if not isinstance(body, dict) or (status and "code" not in body):
        words = (stderr or stdout).decode(errors="replace").strip()[-400:]
        raise Undecodable(f"the IPAM plugin {plugin} answered {verb} with exit {status} and no JSON", words)
    if status or "code" in body:
        code = body.get("code")
        raise DelegateError(
            code if isinstance(code, int) else 999,
            f"the IPAM plugin {plugin}: {body.get('msg', 'no message')}",
            str(body.get("details", "")),
        )
    return body
