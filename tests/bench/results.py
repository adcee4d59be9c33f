"""What was measured, saved: one file a case and size."""

import json
import os
import platform
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

CACHE: Final = Path(".cache") / "bench"
"""Below the working directory."""
MEASURES: Final = ("cpu", "wall", "rss", "pss", "largest", "server_cpu")


@dataclass(frozen=True, slots=True)
class Result:
    """One case at one size, measured in one go."""

    case: str
    files: int
    copies: int
    """Hard-linked copies that are part of the tree."""
    date: str
    machine: Mapping[str, str]
    load: Sequence[float]
    """Load average over a minute, before and after: of more than the machine's cores, others were at work."""
    versions: Mapping[str, str]
    rows: Mapping[str, Sequence[Mapping[str, Any]]]

    def median(self, tool: str, measure: str) -> float:
        """Give the median over the rounds."""
        return statistics.median(float(row[measure]) for row in self.rows[tool])

    def requests(self, tool: str) -> dict[str, float]:
        """Give the requests by operation, as medians over the rounds."""
        rounds = [row.get("requests", {}) for row in self.rows[tool]]
        operations = sorted({operation for one in rounds for operation in one})
        return {operation: statistics.median(one.get(operation, 0) for one in rounds) for operation in operations}

    def as_json(self) -> str:
        """Encode it, medians included."""
        fields: dict[str, Any] = {**asdict(self), "medians": {}}
        for tool, rows in self.rows.items():
            medians = {name: self.median(tool, name) for name in MEASURES if name in rows[0]}
            fields["medians"][tool] = {**medians, "requests": self.requests(tool)}
        return json.dumps(fields, indent=1)

    def save(self, folder: Path) -> None:
        """Write it in place of an earlier one of this case and size."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.case}-{self.files}.json").write_text(self.as_json() + "\n")


def load(folder: Path) -> Iterator[Result]:
    """Read all that were saved, smallest trees first."""
    found = []
    for path in folder.glob("*-*.json"):
        fields = json.loads(path.read_text())
        del fields["medians"]
        found.append(Result(**fields))
    yield from sorted(found, key=lambda result: (result.files, result.case))


def machine() -> dict[str, str]:
    """Describe this machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": f"{os.cpu_count()} cores, {model}",
        "memory": f"{memory / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def now() -> str:
    """Give the time, to the minute, in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
