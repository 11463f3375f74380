"""``brdhcpctl``: what an operator asks of a node, and the uplink migration.

argparse and the standard library alone, since this may be the only tool at hand on a node that is off the network.
Only the part that is asked for is imported.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from brdhcp.errors import CniError

COMMANDS = {
    "leases": ("brdhcp.agent.tables", "every pod with its address and lease"),
    "check": ("brdhcp.agent.tables", "is every attachment as ADD promised? exit status 3 when one is not"),
    "gc": ("brdhcp.agent.tables", "give back the leases of pods that are gone, now"),
    "renew": ("brdhcp.agent.tables", "ask the server for every lease now, as after a change of its options"),
    "uplink": ("brdhcp.uplink.cli", "move the node's NIC into a bridge, and back"),
}


def parser(asked: str) -> argparse.ArgumentParser:
    """The command line; ``asked`` is the one command whose options are known."""
    top = argparse.ArgumentParser(
        prog="brdhcpctl", description="Leases of pods on the LAN, and the node's uplink."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, words) in COMMANDS.items():
        if name == asked:
            import_module(module).add_parser(commands, name, words)
        else:
            commands.add_parser(name, help=words)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 done, 1 failed, 2 wrong command line, 3 not as it should be, 4 rollback incomplete."""
    words = list(sys.argv[1:] if argv is None else argv)
    options = parser(words[0] if words else "").parse_args(words)
    try:
        return int(options.run(options))
    except CniError as error:
        print(f"brdhcpctl: {error.msg}", file=sys.stderr)
        if error.details:
            print(f"  {error.details}", file=sys.stderr)
        return 4 if error.code == 110 else 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
