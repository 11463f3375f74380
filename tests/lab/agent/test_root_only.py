"""The socket takes root only, by its mode and, should somebody widen that, by who asks."""

from __future__ import annotations

import json

from tests.lab.agent.rig import Rig
from tests.lab.lan import until

SOCKET = "/run/brdhcp/agent.sock"
NOBODY = 65534
ASK = f"""
import json, socket
with socket.socket(socket.AF_UNIX) as asked:
    asked.settimeout(20)
    try:
        asked.connect({SOCKET!r})
        said = asked.recv(4096).decode()
    except OSError as error:
        said = type(error).__name__
print(json.dumps(said))
"""


def ask_as_nobody(node: Rig) -> str:
    who = f"setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups"
    return str(json.loads(node.lan.node.run(f"{who} /usr/bin/python3 -", stdin=ASK).stdout))


def test_nobody_else_gets_an_answer_from_the_agent(quiet: Rig) -> None:
    quiet.start()
    assert quiet.lan.node.run(f"stat -c %a {SOCKET}").stdout.strip() == "600"
    assert ask_as_nobody(quiet) == "PermissionError"
    assert quiet.events("request-refused") == []
    quiet.lan.node.run(f"chmod 666 {SOCKET}")
    assert ask_as_nobody(quiet) in ("", "ConnectionResetError")
    until(lambda: quiet.events("request-refused"), what="the refusal is told")
    (refused,) = quiet.events("request-refused")
    assert f"uid {NOBODY} " in refused["message"]
    assert quiet.add("web").address, "root is still answered"
