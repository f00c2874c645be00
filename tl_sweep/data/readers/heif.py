"""HEIC and HEIF, as phones write them, by pillow-heif."""

from __future__ import annotations

import io

from tl_sweep.base.preprocessing import Reading
from tl_sweep.data.readers.contract import StoredPicture, check_page, check_size
from tl_sweep.data.readers.pillow import picture_of

BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")


class HeifReader:
    suffixes = frozenset({".heic", ".heif", ".heics", ".heifs", ".hif"})
    module, pip = "pillow_heif", "pillow-heif"

    def recognises(self, content: bytes) -> bool:
        return content[4:8] == b"ftyp" and content[8:12] in BRANDS and b"avif" not in content[8:64]

    def read(self, content: bytes, reading: Reading) -> StoredPicture:
        """Decoded at once: a draft would show the small picture that is embedded for previews. The first picture is
        the one that the file calls primary.

        Raises:
            Exception: nearly every type there is, for a broken file.
        """
        from pillow_heif import HeifImageFile

        image = HeifImageFile(io.BytesIO(content))
        check_size(*image.size, reading)
        check_page(image.n_frames, reading)
        picture = picture_of(image, content, reading, image.n_frames, reading.page - 1)
        image.load()
        return picture


HEIF = HeifReader()
