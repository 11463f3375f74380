"""``brdhcpctl``: what an operator asks of a node, and the uplink migration.

argparse and the standard library alone, since this may be the only tool at hand on a node that is off the network.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from brdhcp.errors import CniError


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 done, 1 failed, 2 wrong command line, 3 not as it should be, 4 rollback incomplete."""
    from brdhcp.agent import tables
    from brdhcp.uplink import cli as uplink

    parser = argparse.ArgumentParser(
        prog="brdhcpctl", description="Leases of pods on the LAN, and the node's uplink."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    tables.add_parsers(commands)
    uplink.add_parser(commands)
    options = parser.parse_args(argv)
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
