"""A real browser without a window: opens a file, says what it complained about, and takes a picture."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--enable-logging=stderr", "--v=0",
)  # fmt: skip
COMPLAINT = re.compile(r":CONSOLE[^\]]*\] (.*)")


@dataclass(frozen=True, slots=True)
class Seen:
    """A page as the browser has it: its document after scripts ran, what its console said, and a picture."""

    document: str
    complaints: list[str]
    picture: Path


class Browser:
    """Chromium with a profile below ``folder``; no two runs share one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._runs = 0

    def open(self, page: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> Seen:
        """Open a file. ``height`` is that of the picture."""
        picture = self.folder / f"{page.stem}-{self._runs}.png"
        size = f"--window-size={width},{height}"
        scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
        shot = self._run(page, size, *scheme, f"--screenshot={picture}")
        dumped = self._run(page, size, *scheme, "--dump-dom")
        complaints = COMPLAINT.findall(shot.stderr) + COMPLAINT.findall(dumped.stderr)
        return Seen(dumped.stdout, complaints, picture)

    def printed(self, page: Path) -> Path:
        """The page as it goes to a printer."""
        pdf = self.folder / f"{page.stem}.pdf"
        self._run(page, f"--print-to-pdf={pdf}")
        return pdf

    def _run(self, page: Path, *options: str) -> subprocess.CompletedProcess[str]:
        self._runs += 1
        profile = self.folder / f"profile-{self._runs}"
        argv = ["chromium", *OPTIONS, f"--user-data-dir={profile}", *options, page.as_uri()]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done
