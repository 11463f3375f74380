"""Coverage-guided fuzzing of everything that reads bytes from the runtime: the wire, the variables, the configuration.

    python -m tests.fuzz.fuzz_request [-runs=200000] [-max_total_time=60] tests/fuzz/corpus/request

needs atheris; importing this file does not, so that the unit ring runs the committed corpus through the same target.
"""

from __future__ import annotations

import importlib
import json
import sys

from brdhcp.agent import wire
from brdhcp.errors import CniError
from brdhcp.spec.environment import Request
from brdhcp.spec.netconf import NetConf
from brdhcp.spec.result import Result


def one_input(data: bytes) -> None:
    """The target: a request as it comes over the socket. Every exception but ``CniError`` is a fault."""
    try:
        head = wire.split_header(data)
        if head is None:
            return
        environment, stdin = wire.decode_body(head[1])
        request = Request.from_environment(environment)
        netconf = NetConf.parse(stdin, request)
    except CniError as error:
        json.dumps(error.as_json("1.1.0"))
        return
    if netconf.prev_result is not None:
        body = netconf.prev_result.as_json("1.1.0")
        assert Result.from_json(body, version="1.1.0").as_json("1.1.0") == body


if __name__ == "__main__":
    atheris = importlib.import_module("atheris")
    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
