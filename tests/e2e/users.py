"""FTP users who go on editing while something else is put to the test."""

import random
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self


class Users:
    """Edits a tree in a thread, with names of its own, until told to stop."""

    def __init__(self, root: Path, rng: random.Random) -> None:
        self._root, self._rng = root, rng
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self.edits = 0

    def __enter__(self) -> Self:
        self._future = self._pool.submit(self._work)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()
        self._future.result()
        assert self.edits

    def _work(self) -> None:
        while not self._stop.wait(0.02):
            folder = self._root / self._rng.choice(["docs", "a", "b/deep/er", "."])
            path = folder / f"{self._rng.randrange(60)}.{self._rng.choice(['txt', 'html', 'css'])}"
            kind = self._rng.choice(["write", "write", "write", "delete", "index", "move"])
            folder.mkdir(parents=True, exist_ok=True)
            if kind == "write":
                path.write_bytes(self._rng.randbytes(self._rng.randrange(5000)))
            elif kind == "index":
                path.with_name("index.html").write_text(f"index {self.edits}", "utf-8")
            elif kind == "delete":
                path.unlink(missing_ok=True)
                path.with_name("index.html").unlink(missing_ok=True)
            elif (self._root / "a").exists() and self._rng.random() < 0.05:
                shutil.rmtree(self._root / "moved", ignore_errors=True)
                (self._root / "a").rename(self._root / "moved")
            self.edits += 1
