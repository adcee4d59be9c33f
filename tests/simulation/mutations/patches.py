"""How a clause is left out: patches of the real code, or of the simulation around it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

Patches = Sequence[AbstractContextManager[Any]]
Mutation = Callable[[], Patches]
