"""JPEG XL, by pillow-jxl-plugin."""

from __future__ import annotations

import io
import warnings

from tl_sweep.base.preprocessing import Reading
from tl_sweep.data.readers.contract import StoredPicture, check_page, check_size
from tl_sweep.data.readers.pillow import picture_of


class JxlReader:
    suffixes = frozenset({".jxl"})
    module, pip = "pillow_jxl", "pillow-jxl-plugin"

    def recognises(self, content: bytes) -> bool:
        return content.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"))

    def read(self, content: bytes, reading: Reading) -> StoredPicture:
        """
        Raises:
            Exception: nearly every type there is, for a broken file.
        """
        from pillow_jxl.JpegXLImagePlugin import JXLImageFile

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # floats of 16 bits come as 32: the same numbers
            image = JXLImageFile(io.BytesIO(content))
        check_size(*image.size, reading)
        check_page(1, reading)
        return picture_of(image, content, reading, 1, 0)


JXL = JxlReader()
