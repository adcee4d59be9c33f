"""`python -m tests.browser.screenshots`: take the pictures of directory pages that README.md shows, into docs/."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from siteferry_contract.leaf import Entry, FileEntry, SubdirectoryEntry
from siteferry_lambdas.rendering import render
from tests.browser.conftest import find_browser

DOCS = Path(__file__).resolve().parents[2] / "docs"
SHOTS = (
    ("directory-page.png", {"width": 1000, "height": 760}, "light", 1),
    ("directory-page-phone.png", {"width": 390, "height": 830}, "dark", 1.5),
)
NEWEST = 1_760_000_000 * 10**9
FILES = {
    "Fähre nach Norderney.jpg": 2_413_880,
    "LICENSE": 1_068,
    "annual-report-2025.pdf": 4_718_592,
    "crew-handbook.docx": 88_213,
    "departures.csv": 12_204,
    "fog-horn.mp3": 3_140_022,
    "harbour-map.svg": 460,
    "invoice\u202egpj.exe": 311_296,
    "pier-webcam.mp4": 73_400_320,
    "tariff-2019.html": 9_120,
    "tickets-2019.tar.gz": 20_971_520,
}


def main() -> None:
    """Write them all."""
    entries: list[Entry] = [SubdirectoryEntry(name) for name in ("archive", "photos", "timetables")]
    entries += [
        FileEntry(name, size, NEWEST - at * 987_654 * 10**9, 0, None) for at, (name, size) in enumerate(FILES.items())
    ]
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        program = find_browser(playwright.chromium.executable_path)
        if program is None:
            sys.exit("no Chromium on this machine: `make browser` installs one")
        browser = playwright.chromium.launch(executable_path=program)
        file = Path(folder) / "index.html"
        file.write_bytes(render("downloads/ferries", entries))
        for name, size, scheme, scale in SHOTS:
            page = browser.new_page(viewport=size, color_scheme=scheme, device_scale_factor=scale)  # type: ignore[arg-type]
            page.goto(file.as_uri())
            page.screenshot(path=DOCS / name)
        browser.close()


main()
