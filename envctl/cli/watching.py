"""``capture`` and ``report``: what is on the wires, and all there is to say, to keep or to send to somebody."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, BinaryIO

import typer
from rich.text import Text

from envctl.cli.lifecycle import existing
from envctl.cli.options import File, Name, Output, config
from envctl.cli.output import Format, complain, emit, err, out

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envctl.capture import Place, Recorder
    from envctl.errors import EnvctlError
    from envctl.pcapng import Frame

MOMENT_NS = 500_000_000
REMEMBERED = 4096
"""Packets that are known again: more than come by in a moment, and no more the longer a capture lasts."""
KINDS = {"DHCPACK": "green", "DHCPOFFER": "cyan", "DHCPNAK": "bold red", "DHCPDECLINE": "bold red"}


Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        "-w",
        metavar="PLACE",
        help="host, the NIC (eth0), the bridge (mybr0), pod, or a pod's name; repeat it for several."
        "  (default: host, NIC and bridge of every node)",
    ),
]


During = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[-- COMMAND...]", help="Run it once all places listen, and end when it has ended."
    ),
]


def capture(
    command: During = None,
    where: Where = None,
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FILE", help="Write it there.  (default: ./NAME.pcapng)")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option("--for", metavar="SECONDS", min=0.1, help="How long.  (default: until Ctrl-C)"),
    ] = None,
    expression: Annotated[
        str, typer.Option("--filter", metavar="EXPR", help="As for tcpdump.  (default: everything)")
    ] = "",
    each: Annotated[
        bool,
        typer.Option("--each", help="Tell a packet at every place that it comes by, not only at the first."),
    ] = False,
    file: File = None,
    name: Name = None,
    output: Output = Format.TABLE,
) -> None:
    """Capture on several machines at once into a pcapng file, and tell DHCP and ARP in words meanwhile."""
    from envctl.capture import Recorder, places
    from envctl.environment import provider_of
    from envctl.pcapng import Writer

    provider = existing(provider_of(config(file, name)))
    chosen = places(provider, where or ())
    target = (write or Path(f"{provider.config.name}.pcapng")).absolute()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    count, told, first, lost = 0, 0, First(), Lost()
    # What is in the file already is written over only once everything listens.
    with Recorder(chosen, expression, lost) as recorder, _written(target) as pcapng:
        writer = Writer(pcapng, [(place.name, f"{place.device} of {place.node.name}") for place in chosen])
        err().print(f"listening on {', '.join(place.name for place in chosen)}; Ctrl-C ends", style="dim")
        with contextlib.suppress(KeyboardInterrupt):  # the ordinary end of a capture
            for frame in _during(command, recorder) if command else _for(seconds, recorder):
                writer.write(frame)
                count += 1
                if frame.comment and (each or first.sighting(frame)):
                    _tell(_as_data(frame), output)
                    told += 1
        early = not recorder.listening and not command
    if output is Format.YAML and not told:
        emit([], output, lambda _width: "")
    err().print(f"{count} frames in {target}", style="dim", soft_wrap=True)
    if early:
        raise typer.Exit(complain(lost.error()))


def _written(path: Path) -> BinaryIO:
    from envctl.errors import UsageError

    try:
        return path.open("wb")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written", cause=str(error), hint="--write FILE names another one."
        ) from error


class Lost:
    """Hears of each tcpdump that has ended by itself, says so at once, and remembers it."""

    def __init__(self) -> None:
        self._said: list[str] = []

    def __call__(self, place: Place, said: str) -> None:
        self._said.append(f"{place.name}: tcpdump has ended: {'; '.join(said.splitlines())}")
        err().print(Text(self._said[-1], "yellow"), soft_wrap=True)

    def error(self) -> EnvctlError:
        """That none is left."""
        from envctl.errors import EnvctlError

        return EnvctlError(
            "the capture has ended early: no tcpdump is left",
            cause="\n".join(self._said),
            hint="What was captured until then is in the file. envctl status shows which machines and pods are there.",
        )


def _for(seconds: float | None, recorder: Recorder) -> Iterator[Frame]:
    return recorder.frames(None if seconds is None else time.monotonic() + seconds)


def _during(command: list[str], recorder: Recorder) -> Iterator[Frame]:
    """Frames while a command runs, and those that were on their way when it ended; then what it said."""
    import tempfile

    with tempfile.TemporaryFile("w+") as said:
        with _started(command, said) as running:
            while running.poll() is None and recorder.listening:
                yield from recorder.frames(time.monotonic() + 0.1)
        yield from recorder.rest()
        said.seek(0)
        err().print(Text(said.read().rstrip()), soft_wrap=True)


def _started(command: list[str], said: IO[str]) -> subprocess.Popen[bytes]:
    from envctl.errors import UsageError

    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    except OSError as error:
        raise UsageError(f"{command[0]} cannot be run", cause=str(error)) from error


class First:
    """Knows a packet again that comes by a second place: the same bytes within a moment."""

    def __init__(self) -> None:
        self._seen: dict[bytes, tuple[str, int]] = {}

    def sighting(self, frame: Frame) -> bool:
        """Whether this is the first place; at the same place again it is another packet."""
        where, at = self._seen.get(frame.data, ("", 0))
        again = where not in ("", frame.where) and abs(frame.time_ns - at) < MOMENT_NS
        if not again:
            self._seen.pop(frame.data, None)
            self._seen[frame.data] = (frame.where, frame.time_ns)
            if len(self._seen) > REMEMBERED:
                del self._seen[next(iter(self._seen))]
        return not again


def _as_data(frame: Frame) -> dict[str, Any]:
    at = datetime.fromtimestamp(frame.time_ns / 1e9).astimezone()
    return {"time": at.isoformat(timespec="microseconds"), "where": frame.where, "words": frame.comment}


def _tell(said: dict[str, Any], output: Format) -> None:
    if output is Format.JSON:
        sys.stdout.write(json.dumps(said, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    elif output is Format.YAML:  # an entry of one list, written as it grows
        emit([said], output, lambda _width: "")
        sys.stdout.flush()
    elif output is Format.TABLE:
        kind, _, words = said["words"].partition(": ")
        clock = said["time"][11:23]
        line = Text.assemble(
            (clock, "dim"), f"  {said['where']:<16}", (f"{kind:<13}", KINDS.get(kind, "bold")), words
        )
        out().print(line, soft_wrap=True)


def report(
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FILE", help="Write it there.  (default: ./NAME.html)")
    ] = None,
    verify: Annotated[
        bool, typer.Option(help="Run the acceptance suite, and capture DHCP meanwhile.")
    ] = True,
    captured: Annotated[
        Path | None,
        typer.Option("--capture", metavar="FILE", help="Show the DHCP of this pcapng file instead."),
    ] = None,
    file: File = None,
    name: Name = None,
    output: Output = Format.TABLE,
) -> None:
    """Write one HTML page about the environment that needs no network: pictures, times, DHCP, pods, checks, logs.

    Exit code 3 when a check has failed; the page is written all the same.
    """
    from envctl.cli.lifecycle import suite, with_status
    from envctl.environment import provider_of
    from envctl.report.gather import gather
    from envctl.report.page import render
    from envctl.steps import failed

    provider = existing(provider_of(config(file, name)))
    given = (captured.name, _frames(captured)) if captured else None
    gathered = with_status(lambda note: gather(provider, suite(provider) if verify else None, note, given))
    target = (write or Path(f"{provider.config.name}.html")).absolute()
    target.write_text(render(gathered), encoding="utf-8")
    data = {"file": str(target), "exchanges": len(gathered.exchanges)}
    found = gathered.verification
    if found is not None:
        data["passed"] = found.passed
    emit(data, output, lambda _width: Text(str(target)))
    if found is not None and not found.passed:
        raise typer.Exit(complain(failed(found)))


def _frames(path: Path) -> list[Frame]:
    from envctl.errors import UsageError
    from envctl.pcapng import FormatError, read

    try:
        with path.open("rb") as file:
            return list(read(file))
    except (OSError, FormatError) as error:
        raise UsageError(
            f"{path} cannot be read", cause=str(error), hint="envctl capture writes such files."
        ) from error
