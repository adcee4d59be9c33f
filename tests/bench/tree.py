"""A made-up web site, skewed as real ones are: few huge directories, many small ones, small files with a long tail."""

import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import md5
from pathlib import Path
from typing import Final

FILES_PER_DIRECTORY: Final = 50
HUGE: Final = 4
"""Directories that together hold a fifth of the files."""
DEEPEST: Final = 8
LARGEST: Final = 200_000
"""Bytes of the largest file."""
NOW: Final = 1_760_000_000
"""Seconds since 1970: no file is newer."""
_YEARS: Final = 10 * 365 * 86_400
_MONTH: Final = 30 * 86_400
_WORDS: Final = (
    "about archive article asset banner blog brochure category chart company contact css data detail download event faq"
    " figure font footer form gallery guide header help home icon image index info intro item js key landing layout"
    " legal list logo main manual map media menu misc module news note page panel photo post press print product"
    " profile promo report review root search section service shop slide source story style summary table tag team"
    " terms theme thumb title tool topic update user video view widget year"
).split()
_EXTENSIONS: Final = (
    ["html"] * 30 + ["jpg"] * 25 + ["png"] * 12 + ["css"] * 4 + ["js"] * 6 + ["pdf"] * 5 + ["webp"] * 8 + ["svg"] * 4
    + ["json"] * 4 + ["txt"] * 2
)  # fmt: skip
_NOISE: Final = random.Random(7).randbytes((1 << 20) + LARGEST)


@dataclass(slots=True)
class Edits:
    """What an edit changed, by path."""

    written: dict[str, str] = field(default_factory=dict)
    """New content: the MD5 in hexadecimal."""
    removed: set[str] = field(default_factory=set)


def make_tree(root: Path, files: int, *, seed: int = 42) -> None:
    """Make a tree, the same for the same arguments."""
    rng = random.Random(seed)
    directories = _directories(rng, max(files // FILES_PER_DIRECTORY, HUGE + 2))
    huge = set(rng.sample(range(1, len(directories)), HUGE))
    each = files // (5 * HUGE)
    counts = iter(_counts(rng, len(directories) - HUGE, files - HUGE * each))
    for number, directory in enumerate(directories):
        path = root / directory
        path.mkdir(parents=True, exist_ok=True)
        _fill(rng, path, each if number in huge else next(counts))


def link_copies(root: Path, number: int) -> None:
    """Put copies of a tree beside it, whose files are hard links."""
    top = list(root.iterdir())
    for copy in range(1, number + 1):
        for path in top:
            target = root / f"copy-{copy}" / path.name
            target.parent.mkdir(exist_ok=True)
            if path.is_dir():
                shutil.copytree(path, target, copy_function=os.link)
            else:
                target.hardlink_to(path)


def _directories(rng: random.Random, number: int) -> list[str]:
    found = [""]
    while len(found) < number:
        parent = found[int(rng.random() ** 1.5 * len(found))]
        if parent.count("/") < DEEPEST:
            name = f"{rng.choice(_WORDS)}-{len(found)}" if rng.random() < 0.7 else f"{len(found):04}"
            found.append(f"{parent}/{name}" if parent else name)
    return found


def _counts(rng: random.Random, directories: int, files: int) -> list[int]:
    weights = [rng.lognormvariate(0, 1.5) for _ in range(directories)]
    whole = sum(weights)
    counts = [int(weight / whole * files) for weight in weights]
    for number in range(files - sum(counts)):
        counts[number % directories] += 1
    return counts


def _fill(rng: random.Random, path: Path, files: int) -> None:
    directory = os.open(path, os.O_RDONLY)
    newest = NOW - rng.randrange(_YEARS)
    for number in range(files):
        file = os.open(_name(rng, number), os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=directory)
        size, begin = min(int(rng.lognormvariate(7.5, 1.2)), LARGEST), rng.randrange(1 << 20)
        os.write(file, _NOISE[begin : begin + size])
        at = (newest - rng.randrange(_MONTH)) * 10**9 + (0 if rng.random() < 0.5 else rng.randrange(10**9))
        os.utime(file, ns=(at, at))
        os.close(file)
    os.close(directory)


def _name(rng: random.Random, number: int) -> str:
    kind, extension = rng.random(), rng.choice(_EXTENSIONS)
    if kind < 0.4:
        return f"{rng.choice(_WORDS)}-{rng.choice(_WORDS)}-{number}.{extension}"
    if kind < 0.7:
        return f"IMG_{20_100_000 + rng.randrange(150_000):08}_{number:06}.{extension}"
    return f"{rng.choice(_WORDS)}_{number:05}_{rng.getrandbits(24):x}.{extension}"


def edit_tree(root: Path, part: float, *, seed: int) -> Edits:
    """Change a part of the files, spread evenly: overwrite, create, remove, rename, as `seed` decides."""
    rng, edits = random.Random(seed), Edits()
    paths = sorted(path for path, _ in walk(root))
    chosen = rng.sample(paths, max(round(len(paths) * part), 1))
    for number, name in enumerate(chosen):
        path, kind = root / name, rng.random()
        if kind < 0.35:
            _write(edits, name, path, rng.randbytes(path.stat().st_size or 1))
        elif kind < 0.70:
            _write(edits, name, path, rng.randbytes(path.stat().st_size + rng.randrange(1, 2_000)))
        elif kind < 0.82:
            new = _beside(name, f"new-{seed}-{number}.html")
            _write(edits, new, root / new, rng.randbytes(rng.randrange(1, 8_000)))
        elif kind < 0.90:
            path.unlink()
            edits.removed.add(name)
        else:
            new = _beside(name, f"moved-{seed}-{number}.{name.rpartition('.')[2]}")
            edits.written[new] = md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            path.rename(root / new)
            edits.removed.add(name)
    return edits


def _beside(name: str, new: str) -> str:
    folder = name.rpartition("/")[0]
    return f"{folder}/{new}" if folder else new


def _write(edits: Edits, name: str, path: Path, body: bytes) -> None:
    # In place, as an FTP server overwrites.
    with path.open("r+b" if path.exists() else "wb") as file:
        file.truncate(0)
        file.write(body)
    edits.written[name] = md5(body, usedforsecurity=False).hexdigest()


def walk(root: Path) -> Iterator[tuple[str, int]]:
    """Give every file's path below the root and its size, in no order."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        with os.scandir(root / folder) as found:
            for entry in found:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name)
                else:
                    yield name, entry.stat(follow_symlinks=False).st_size


def manifest(root: Path) -> Iterator[str]:
    """Give a line "size md5 path" for every file."""
    for name, size in walk(root):
        with (root / name).open("rb") as file:
            yield f"{size} {md5(file.read(), usedforsecurity=False).hexdigest()} {name}"
