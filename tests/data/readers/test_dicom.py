"""Medical pictures: what the window of a file shows black and white is black and white."""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
import pytest

from tl_sweep.base.preprocessing import PLAIN, Reading
from tl_sweep.data.fit import to_rgb
from tl_sweep.data.readers.contract import MissingPackage
from tl_sweep.data.readers.registry import read_image, read_picture

pydicom = pytest.importorskip("pydicom")

SHADES_HW = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
RGB_HW3 = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
CT_HW = SHADES_HW.astype(np.int16) * 8 - 1000  # Hounsfield units, from -1000 to 1040
WINDOW = {"WindowCenter": 40, "WindowWidth": 400}


def dicom(pixels: np.ndarray, stored_bits: int | None = None, **others: Any) -> bytes:
    """A whole file. pixels: (H, W), (H, W, 3), or (frames, H, W) with ``NumberOfFrames``."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    height, width = pixels.shape[1:3] if "NumberOfFrames" in others else pixels.shape[:2]
    data.Rows, data.Columns = height, width
    bits = 8 * pixels.dtype.itemsize
    data.BitsAllocated, data.BitsStored = bits, stored_bits or bits
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int(pixels.dtype.kind == "i")
    data.SamplesPerPixel = 3 if pixels.ndim == 3 and "NumberOfFrames" not in others else 1
    data.PhotometricInterpretation = "RGB" if data.SamplesPerPixel == 3 else "MONOCHROME2"
    if data.SamplesPerPixel == 3:
        data.PlanarConfiguration = 0
    data.PixelData = pixels.tobytes()
    for name, value in others.items():
        setattr(data, name, value)
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


def shown(content: bytes, reading: Reading = PLAIN) -> np.ndarray:
    """Upright RGB, int (H, W, 3)."""
    return np.asarray(to_rgb(read_image(content, ".dcm", reading))).astype(int)


def windowed(values_HW: np.ndarray, center: float, width: float) -> np.ndarray:
    """PS3.3 C.11.2.1.2.1, on 0..255."""
    shares = ((values_HW - (center - 0.5)) / (width - 1) + 0.5).clip(0, 1)
    return np.round(shares * 255)


def test_shades_of_8_bits() -> None:
    assert (shown(dicom(SHADES_HW))[..., 0] == SHADES_HW).all()


def test_12_bits_by_the_white_of_the_set() -> None:
    content = dicom(SHADES_HW.astype(np.uint16) * 16, stored_bits=12)
    picture = read_picture(content, ".dcm", PLAIN)
    assert (picture.mode, picture.bits, picture.width_px) == ("DICOM MONOCHROME2, 12 bits", 12, 30)
    assert np.abs(shown(content, Reading(white=4095))[..., 0] - SHADES_HW).max() <= 1


def test_a_window_says_what_is_black_and_white() -> None:
    assert np.abs(shown(dicom(CT_HW, **WINDOW))[..., 0] - windowed(CT_HW, 40, 400)).max() <= 1


def test_the_window_is_of_rescaled_numbers() -> None:
    stored_HW = (CT_HW + 1024).astype(np.uint16)
    content = dicom(stored_HW, stored_bits=12, RescaleSlope=1, RescaleIntercept=-1024, **WINDOW)
    assert np.abs(shown(content)[..., 0] - windowed(CT_HW, 40, 400)).max() <= 1
    doubled = dicom(stored_HW, stored_bits=12, RescaleSlope=2, RescaleIntercept=-2048, WindowCenter=80, WindowWidth=800)
    assert np.abs(shown(doubled)[..., 0] - windowed(2 * CT_HW, 80, 800)).max() <= 1


def test_the_first_of_several_windows_is_taken() -> None:
    content = dicom(CT_HW, WindowCenter=[40, -600], WindowWidth=[400, 1500])
    assert np.abs(shown(content)[..., 0] - windowed(CT_HW, 40, 400)).max() <= 1


@pytest.mark.parametrize("others", [{}, WINDOW])
def test_monochrome1_is_the_negative(others: dict[str, int]) -> None:
    shades_HW = SHADES_HW.astype(np.uint16)
    plain, inverted = (
        shown(dicom(shades_HW, PhotometricInterpretation=kind, **others), Reading(white=255))
        for kind in ("MONOCHROME2", "MONOCHROME1")
    )
    assert np.abs(plain + inverted - 255).max() <= 1


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_what_lies_beside_the_picture_is_black(kind: str) -> None:
    values_HW = CT_HW.copy()
    values_HW[:5] = -2000
    content = dicom(values_HW, PhotometricInterpretation=kind, PixelPaddingValue=-2000, **WINDOW)
    assert (shown(content)[:5] == 0).all()
    assert shown(content)[5:].max() == 255


def test_a_table_of_values_of_interest() -> None:
    from pydicom.dataset import Dataset

    table = Dataset()
    table.LUTDescriptor = [256, 0, 12]
    table.LUTData = (np.arange(256)[::-1] * 16).astype("<u2").tobytes()
    content = dicom(SHADES_HW, VOILUTSequence=[table])
    assert np.abs(shown(content)[..., 0] - (255 - SHADES_HW.astype(int))).max() <= 1


def test_a_sigmoid_window_ends_at_black_and_white() -> None:
    ramp_HW = np.tile(np.linspace(-5000, 5000, 30), (20, 1)).astype(np.int16)
    image = shown(dicom(ramp_HW, VOILUTFunction="SIGMOID", **WINDOW))[..., 0]
    assert (image[0, 0], image[0, -1]) == (0, 255)
    assert (np.diff(image[0]) >= 0).all()


@pytest.mark.parametrize("planar", [0, 1])
def test_colours(planar: int) -> None:
    pixels = RGB_HW3 if planar == 0 else np.ascontiguousarray(RGB_HW3.transpose(2, 0, 1)).reshape(RGB_HW3.shape)
    assert (shown(dicom(pixels, PlanarConfiguration=planar)) == RGB_HW3).all()


def test_colours_that_are_stored_as_brightness_and_difference() -> None:
    from PIL import Image

    ybr_HW3 = np.asarray(Image.fromarray(RGB_HW3).convert("YCbCr"))
    assert np.abs(shown(dicom(ybr_HW3, PhotometricInterpretation="YBR_FULL")) - RGB_HW3).max() <= 3


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette(bits: int) -> None:
    table = np.arange(256)[::-1].astype(f"<u{bits // 8}") * (1 if bits == 8 else 257)
    colours: dict[str, Any] = {
        f"{name}PaletteColorLookupTable{part}": value
        for name in ("Red", "Green", "Blue")
        for part, value in (("Descriptor", [256, 0, bits]), ("Data", table.tobytes()))
    }
    content = dicom(SHADES_HW, PhotometricInterpretation="PALETTE COLOR", **colours)
    assert np.abs(shown(content) - (255 - SHADES_HW[..., None].astype(int))).max() <= 1


def test_any_frame_can_be_had() -> None:
    content = dicom(np.stack([SHADES_HW, 255 - SHADES_HW]), NumberOfFrames=2)
    assert read_picture(content, ".dcm", PLAIN).pages == 2
    assert (shown(content)[..., 0] == SHADES_HW).all()
    assert (shown(content, Reading(page=2))[..., 0] == 255 - SHADES_HW.astype(int)).all()
    with pytest.raises(ValueError, match=r"data.page=3: it has 2"):
        read_picture(content, ".dcm", Reading(page=3))


def test_negative_numbers_without_a_window_are_refused() -> None:
    with pytest.raises(ValueError, match=r"values from -1000, and no window .* WindowCenter"):
        shown(dicom(CT_HW))


def test_a_file_without_a_picture_is_said_to_be_one() -> None:
    content = dicom(SHADES_HW)
    data = pydicom.dcmread(io.BytesIO(content))
    del data.Rows, data.PixelData
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    with pytest.raises(ValueError, match="a DICOM file without a picture"):
        read_picture(file.getvalue(), ".dcm", PLAIN)


def test_pixels_that_are_packed_are_the_same() -> None:
    from pydicom.uid import RLELossless

    data = pydicom.dcmread(io.BytesIO(dicom(SHADES_HW.astype(np.uint16) * 16, stored_bits=12)))
    data.compress(RLELossless, generate_instance_uid=False)
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    assert np.abs(shown(file.getvalue(), Reading(white=4095))[..., 0] - SHADES_HW).max() <= 1


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.uid import JPEGLSLossless

    data = pydicom.dcmread(io.BytesIO(dicom(SHADES_HW)))
    from pydicom.encaps import encapsulate

    data.file_meta.TransferSyntaxUID, data.PixelData = JPEGLSLossless, encapsulate([b"\xff\xd8\0\0"])
    data["PixelData"].VR = "OB"
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    with pytest.raises(MissingPackage, match=r"not read: needs pylibjpeg\[all\]"):
        read_picture(file.getvalue(), ".dcm", PLAIN)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(MissingPackage, match=r"not read: needs pydicom \(pip install pydicom\)"):
        read_picture(dicom_bytes := file.getvalue(), ".dcm", PLAIN)
    assert dicom_bytes[128:132] == b"DICM"


# --- what stands elsewhere in a file, or not at all


def group_with(center: float) -> Any:
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    group, window = Dataset(), Dataset()
    window.WindowCenter, window.WindowWidth = center, 100
    group.FrameVOILUTSequence = Sequence([window])
    return group


def test_windows_of_each_frame_are_its_own() -> None:
    from pydicom.sequence import Sequence

    groups = Sequence([group_with(5000), group_with(-5000)])
    content = dicom(np.stack([CT_HW, CT_HW]), NumberOfFrames=2, PerFrameFunctionalGroupsSequence=groups)
    assert (shown(content) == 0).all()
    assert (shown(content, Reading(page=2)) == 255).all()


def test_a_window_that_all_frames_share() -> None:
    from pydicom.sequence import Sequence

    groups = Sequence([group_with(40)])
    content = dicom(np.stack([CT_HW, CT_HW]), NumberOfFrames=2, SharedFunctionalGroupsSequence=groups)
    assert np.abs(shown(content, Reading(page=2))[..., 0] - windowed(CT_HW, 40, 100)).max() <= 1


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_without_a_window_is_black(kind: str) -> None:
    values = SHADES_HW.astype(np.uint16) * 8 + 1000
    values[:4] = 4000
    content = dicom(values, 12, PixelPaddingValue=4000, PhotometricInterpretation=kind)
    image = shown(content, Reading(white=4095))[..., 0]
    assert image[:4].max() <= image[4:].min()


def test_an_old_file_without_a_preamble_is_known_by_its_name() -> None:
    assert (shown(dicom(SHADES_HW)[132:])[..., 0] == SHADES_HW).all()


def test_a_file_without_even_a_header_is_read_as_the_standard_says() -> None:
    data = pydicom.dcmread(io.BytesIO(dicom(SHADES_HW)))
    file = io.BytesIO()
    pydicom.dcmwrite(file, pydicom.Dataset(data), implicit_vr=True, little_endian=True)
    assert (shown(file.getvalue())[..., 0] == SHADES_HW).all()


def test_a_file_without_a_picture_says_so() -> None:
    content = dicom(SHADES_HW)
    with pytest.raises(ValueError, match="without a picture"):
        shown(content[: content.index(b"\xe0\x7f\x10\x00")])
