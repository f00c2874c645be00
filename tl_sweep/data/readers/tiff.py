"""TIFFs: by Pillow where it understands them, by tifffile those of other depths and numbers of bands."""

from __future__ import annotations

from tl_sweep.base.preprocessing import Reading
from tl_sweep.data.readers.contract import StoredPicture, check_page
from tl_sweep.data.readers.pillow import open_within, picture_of

BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF


class TiffReader:
    suffixes = frozenset({".tif", ".tiff"})
    module, pip = "tifffile", "tifffile"

    def recognises(self, content: bytes) -> bool:
        return content.startswith(BEGINNINGS)

    def read(self, content: bytes, reading: Reading) -> StoredPicture:
        """
        Raises:
            Exception: nearly every type there is, for a broken file.
        """
        image = open_within(content, reading)
        pages = getattr(image, "n_frames", 1)
        check_page(pages, reading)
        return picture_of(image, content, reading, pages, reading.page - 1)


TIFF = TiffReader()
