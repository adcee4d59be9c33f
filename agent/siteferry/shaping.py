"""The tree's shape for the invalidate handler: how many objects are beneath each directory, and whether all are tagged.

An estimate, so it is written only when it is off by much. What is exact is `tagged_run`: it is taken back before a run
begins that does not find every object tagged, and given again when one ended that left none untagged.
"""

from dataclasses import dataclass
from typing import Final

from siteferry.cache import Cache
from siteferry.errors import SiteferryError
from siteferry.head import Applied
from siteferry.parts import Parts
from siteferry_contract.descriptor import Descriptor
from siteferry_contract.shape import Shape, shape_of

MOST_PERCENT: Final = 10
"""By which the number of published files may be another than when the shape was written."""


@dataclass(frozen=True, slots=True)
class Shaping:
    """Writes the shape of one site."""

    parts: Parts

    def withdraw(self, before: Applied | None) -> None:
        """Take back that all objects are tagged, before the first effect of a run that may find it untrue."""
        if before and before.tagged and not before.is_of(self.parts.descriptor):
            self._write(self.parts.cache.file_count(), None)

    def update(self, applied: Applied) -> None:
        """Write the shape after a run, if it is off by much or something else is tagged; it can wait for the next."""
        p = self.parts
        files, written = p.cache.file_count(), p.cache.shaped()
        far_off = written is None or abs(files - written[0]) * 100 > MOST_PERCENT * max(written[0], 1)
        if written is None or far_off or applied.tagged != written[1]:
            try:
                self._write(files, applied.tagged)
            except SiteferryError as error:
                p.reporter.note(f"the tree's shape could not be written, and will be next time: {error}")

    def _write(self, files: int, tagged_run: int | None) -> None:
        p = self.parts
        p.services.index.write_shape(shape(p.cache, p.descriptor, tagged_run))
        p.cache.set_shaped(files, tagged_run)


def shape(cache: Cache, own: Descriptor, tagged_run: int | None) -> Shape:
    """Give the shape of a site as its index has it, what the Lambdas generate included."""
    generated = own.directory_pages + own.has_redirects
    counts = ((directory, files + generated) for directory, files in cache.files_by_directory())
    return shape_of(counts, prefix=own.prefix, rules=own.copy_rules, tagged_run=tagged_run)
