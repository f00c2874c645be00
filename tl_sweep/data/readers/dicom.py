"""Medical pictures, by pydicom. H, W: height and width in pixels.

The steps are those of the DICOM standard (PS3.3 C.11 and C.7.6.3): stored numbers, modality (rescale or table), value
of interest (window or table), presentation. What the window shows black and white is black and white here.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tl_sweep.base.preprocessing import Reading
from tl_sweep.data.readers.contract import INVERTED, MissingPackage, StoredPicture, check_page, check_size
from tl_sweep.data.readers.pillow import with_bands

if TYPE_CHECKING:
    from pydicom import Dataset

DECODERS = "pylibjpeg[all]"
FRAME_MACROS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")
FAR = np.array([-1e12, 1e12])  # beyond any stored number: what a window makes of them are its own ends


class DicomReader:
    suffixes = frozenset({".dcm", ".dicom", ".dic"})
    module, pip = "pydicom", "pydicom"

    def recognises(self, content: bytes) -> bool:
        return content[128:132] == b"DICM"

    def read(self, content: bytes, reading: Reading) -> StoredPicture:
        """
        Raises:
            MissingPackage: another package has to decompress it.
            Exception: nearly every type there is, for a broken file.
        """
        from pydicom import dcmread

        data = dcmread(io.BytesIO(content), force=True)  # older files begin without a word of what they are
        if "Rows" not in data or "Columns" not in data or "PixelData" not in data:
            raise ValueError("a DICOM file without a picture")
        width_px, height_px, pages = int(data.Columns), int(data.Rows), int(data.get("NumberOfFrames") or 1)
        check_size(width_px, height_px, reading)
        check_page(pages, reading)
        _take_the_frames_own(data, reading.page - 1)
        stored, kind = _stored(data, reading), str(data.PhotometricInterpretation)
        pixels = _coloured(data, stored, reading) if _in_colour(data) else _gray(data, stored)
        bits, bands = int(data.BitsStored), int(data.SamplesPerPixel)
        traits = (INVERTED,) if kind == "MONOCHROME1" and isinstance(pixels, np.ndarray) else ()
        mode = f"DICOM {kind}, {bits} bits"
        return StoredPicture(pixels, width_px, height_px, mode, bits, bands, pages, traits=traits)


DICOM = DicomReader()


def _take_the_frames_own(data: Dataset, frame: int) -> None:
    """Enhanced files say rescaling and window for all frames, or for each, in groups: they are read as the file's."""
    for groups in (data.get("SharedFunctionalGroupsSequence"), data.get("PerFrameFunctionalGroupsSequence")):
        group = groups[min(frame, len(groups) - 1)] if groups else {}
        for macro in FRAME_MACROS:
            if group.get(macro):
                data.update(group[macro][0])


def _in_colour(data: Dataset) -> bool:
    return data.SamplesPerPixel > 1 or data.PhotometricInterpretation == "PALETTE COLOR"


def _stored(data: Dataset, reading: Reading) -> np.ndarray:
    """The numbers of one frame, (H, W) or (H, W, 3); what was stored as YBR comes as RGB.

    Raises:
        MissingPackage: another package has to decompress them.
    """
    from pydicom.pixels import pixel_array
    from pydicom.uid import ImplicitVRLittleEndian

    if "TransferSyntaxUID" not in data.file_meta:
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    try:
        return pixel_array(data, index=reading.page - 1)
    except RuntimeError as error:
        if "missing dependencies" in str(error):
            raise MissingPackage(DECODERS) from error
        raise


def _coloured(data: Dataset, stored: np.ndarray, reading: Reading) -> np.ndarray | Image.Image:
    from pydicom.pixels import apply_color_lut

    is_palette = data.PhotometricInterpretation == "PALETTE COLOR"
    values = with_bands(apply_color_lut(stored, data) if is_palette else stored, reading)
    return Image.fromarray(values) if values.dtype == np.uint8 else values


def _gray(data: Dataset, stored_HW: np.ndarray) -> np.ndarray | Image.Image:
    """By the file's own window; without one the stored numbers, whose white the set tells.

    Raises:
        ValueError: there is no window, and some numbers are negative.
    """
    from pydicom.pixels import apply_modality_lut

    padding_HW = _padding(data, stored_HW)
    if _has_window(data):
        shares_HW = _windowed(data, apply_modality_lut(stored_HW, data))
        return _image(data, shares_HW, padding_HW)
    low = stored_HW.min(where=~padding_HW, initial=0)
    if low < 0:
        remedy = "write WindowCenter and WindowWidth into it, or leave it out with data.skip_unreadable=true"
        raise ValueError(f"values from {low}, and no window that says what is black: {remedy}")
    if data.BitsStored <= 8:
        return _image(data, stored_HW / (2**data.BitsStored - 1), padding_HW)
    return _beside_is_black(data, stored_HW, padding_HW)


def _beside_is_black(data: Dataset, stored_HW: np.ndarray, padding_HW: np.ndarray) -> np.ndarray:
    """Of MONOCHROME1, black is the largest number of the picture."""
    if data.PhotometricInterpretation != "MONOCHROME1":
        return np.where(padding_HW, 0, stored_HW)
    return np.where(padding_HW, stored_HW.max(where=~padding_HW, initial=0), stored_HW)


def _image(data: Dataset, shares_HW: np.ndarray, padding_HW: np.ndarray) -> Image.Image:
    """Shares of white, on [0, 1], as a picture; what lies beside is black."""
    upright_HW = 1 - shares_HW if data.PhotometricInterpretation == "MONOCHROME1" else shares_HW
    return Image.fromarray(np.round(np.where(padding_HW, 0, np.clip(upright_HW, 0, 1)) * 255).astype(np.uint8))


def _has_window(data: Dataset) -> bool:
    return bool(data.get("VOILUTSequence")) or data.get("WindowCenter") is not None


def _windowed(data: Dataset, values_HW: np.ndarray) -> np.ndarray:
    """The first window, or table of values of interest, as shares of white."""
    from pydicom.pixels import apply_voi_lut, apply_windowing

    shown_HW = apply_voi_lut(values_HW, data).astype(np.float64)
    if data.get("VOILUTSequence"):
        return shown_HW / (2 ** int(data.VOILUTSequence[0].LUTDescriptor[2]) - 1)
    with np.errstate(over="ignore"):
        black, white = apply_windowing(FAR, data)
    return (shown_HW - black) / (white - black)


def _padding(data: Dataset, stored_HW: np.ndarray) -> np.ndarray:
    """Where the scanner saw nothing (PixelPaddingValue, up to the limit of a range), bool (H, W)."""
    value = data.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored_HW.shape, dtype=bool)
    low, high = sorted((int(value), int(data.get("PixelPaddingRangeLimit", value))))
    return (stored_HW >= low) & (stored_HW <= high)
