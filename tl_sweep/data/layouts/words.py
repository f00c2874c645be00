"""What names of folders and files say by themselves."""

from __future__ import annotations

import re
import unicodedata

SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trn", "trainset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "valset", "dev", "development"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "testset", "eval", "evaluation"), "test"),
    **dict.fromkeys(("pred", "predict", "prediction", "unlabeled", "unlabelled"), "unlabelled"),
}
PICTURE_WORDS = {"image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "jpg", "jpeg", "png"}
BESIDE_A_SPLIT = PICTURE_WORDS | {"set", "data", "dataset", "split", "folder", "seg", "original", "raw", "cropped"}
NO_CLASS = {
    *("mask", "masks", "label", "labels", "annotation", "annotations", "segmentation", "segmentations"),
    *("groundtruth", "gt", "bbox", "bboxes", "xml", "xmls", "contours"),
}
MASK_ENDING = re.compile(r"[-_. ](mask|seg|segmentation|groundtruth|gt)(?:_?\d+)?$", re.IGNORECASE)
DATE = re.compile(r"(19|20)\d\d([-_.]?\d\d){0,2}$")


def split_of(folder: str) -> str:
    """``train``, ``val``, ``test`` or ``unlabelled``, where a folder's name says so and nothing else: ``Training
    Data``, ``seg_train``, ``test1``; else empty."""
    words = [word for word in re.split(r"[^a-z]+", folder.lower()) if word and word not in BESIDE_A_SPLIT]
    return SPLIT_WORDS.get(words[0], "") if len(words) == 1 else ""


def is_of_pictures(folder: str) -> bool:
    """``images``, ``JPG``: says that pictures are inside, and not of what."""
    return folder.lower() in PICTURE_WORDS


def is_no_class(folder: str) -> bool:
    """``masks``, ``labels``: pictures that say something of other pictures."""
    return re.sub("[^a-z]", "", folder.lower()) in NO_CLASS


def stem_of(file: str) -> str:
    """A file's name without its suffix."""
    return file.rpartition(".")[0] or file


def is_date(folder: str) -> bool:
    return DATE.fullmatch(folder) is not None


def composed(name: str) -> str:
    """The form of a name by which two are the same, however their accents are put together (Unicode's NFC)."""
    return unicodedata.normalize("NFC", name)


def regardless_of_spelling(name: str) -> str:
    """The same of two names that differ only in case, blanks, hyphens or Unicode form."""
    return re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", name).casefold())
