"""Which level of folders names the split, the class and the site.

A level is what the folders at one depth are called. From the outside in: wrappers (one folder alone), splits, sites,
classes; whatever lies deeper is a matter of the class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from tl_sweep.base.errors import UserError
from tl_sweep.data.decode import listing
from tl_sweep.data.layouts.file_names import remedy
from tl_sweep.data.layouts.listing import Place
from tl_sweep.data.layouts.masks import without_masks
from tl_sweep.data.layouts.understood import Below, Labelled, NoClassFolders, Understood
from tl_sweep.data.layouts.words import is_date, is_no_class, is_of_pictures, split_of

NAMES = "the names of folders"
SITES = "{count} sites as groups ({names}): each has the folders {classes}, which are the classes"


FlatLabels = Callable[[Place, Sequence[Place]], dict[Place, str] | None]


def by_folders(
    root: str, places: Sequence[Place], level: int | None = None, flat_labels: FlatLabels = lambda where, places: None
) -> Understood:
    """What the names of folders say.

    root: as the user calls it. level: which folder below the root names the class: 1 the first, -1 the one that holds
    the picture; None: to be found out. flat_labels: what else says the labels of a split without class folders.

    Raises:
        UserError: names that can be read in two ways, or in none.
    """
    pictures = [Below(place, place[:-1]) for place in places]
    if level is not None:
        return _by_given_level(root, pictures, level)
    pictures, left_out = without_masks(pictures)
    pictures, wrapper = _unwrapped(pictures)
    splits = _splits(root, wrapper, pictures)
    if splits is None:
        understood = _classes(root, wrapper, pictures, split="")
    else:
        understood = _by_splits(root, wrapper, splits, flat_labels)
    notes = [f"the folders are one level down, in {'/'.join(wrapper)}/"] if wrapper else []
    return replace(understood, left_out=[*left_out, *understood.left_out], notes=[*notes, *understood.notes])


def _by_given_level(root: str, pictures: Sequence[Below], level: int) -> Understood:
    labelled = []
    for picture in pictures:
        if len(picture.folders) < abs(level) or level == 0:
            what = f"{'/'.join(picture.place)} has no folder at data.label_level={level}"
            raise _refused(root, what, "1 is the first below data.root, -1 the one that holds the picture")
        index = level - 1 if level > 0 else level
        words = [split_of(folder) for folder in picture.folders]
        split = next((word for place, word in enumerate(words) if word and place != index % len(words)), "")
        labelled.append(Labelled(picture.place, picture.folders[index], "" if split == "unlabelled" else split))
    return Understood(labelled, f"the folders at data.label_level={level}")


def _unwrapped(pictures: list[Below]) -> tuple[list[Below], Place]:
    """Without the folders that hold everything there is, but for one that names a split."""
    wrapper: list[str] = []
    while pictures and all(len(picture.folders) > 1 for picture in pictures):
        names = {picture.folders[0] for picture in pictures}
        if len(names) > 1 or any(map(split_of, names)):
            break
        wrapper += names
        pictures = _inside(pictures)
    return pictures, tuple(wrapper)


def _inside(pictures: Iterable[Below]) -> list[Below]:
    return [Below(picture.place, picture.folders[1:]) for picture in pictures]


def _named(pictures: Iterable[Below]) -> dict[str, list[Below]]:
    """The pictures in each folder of the outermost level."""
    folders: dict[str, list[Below]] = {}
    for picture in pictures:
        folders.setdefault(picture.folders[0], []).append(picture)
    return folders


def _splits(root: str, where: Place, pictures: Sequence[Below]) -> dict[str, list[Below]] | None:
    """The pictures of each split folder; None: the outermost level names something else."""
    if any(not picture.folders for picture in pictures):
        return None
    folders = _named(pictures)
    deep = [name for name, inside in folders.items() if split_of(name) and any(len(p.folders) > 1 for p in inside)]
    foreign = [name for name in folders if not split_of(name)]
    if not deep and (foreign or not folders):
        return None
    here = "/".join((root, *where))
    if deep and "train" not in map(split_of, folders):
        raise UserError(f"data.root: {here} has {listing(sorted(folders))} with class folders, but no train/")
    if foreign:
        raise UserError(f"data.root: {here} has train/ with class folders, but also {listing(foreign)}: move them away")
    return folders


def _by_splits(root: str, where: Place, folders: dict[str, list[Below]], flat_labels: FlatLabels) -> Understood:
    parts: list[Understood] = []
    for name in sorted(folders, key=lambda name: split_of(name) != "train"):
        split, inside = split_of(name), _inside(folders[name])
        inside, repeated = _out_of_repeated(name, inside)
        inside, wrapper = _unwrapped(inside)
        part = (*where, name, *repeated, *wrapper)
        if split == "unlabelled":
            parts.append(Understood([], "", unlabelled=[picture.place for picture in inside]))
        elif all(not picture.folders for picture in inside) or _only_pictures(inside):
            parts.append(_flat(root, part, split, inside, flat_labels))
        else:
            parts.append(_classes(root, part, inside, split))
    labelled = [image for part in parts for image in part.labelled]
    if not labelled:
        what = f"{listing(sorted(folders))} are splits without class folders"
        raise NoClassFolders(f"data.root: {root}: {what}; {remedy(_places(folders, 'train') or _all(folders))}")
    if not any(image.split == "train" for image in labelled):
        what = "the folder to learn from has no class folders"
        raise NoClassFolders(f"data.root: {root}: {what}; {remedy(_places(folders, 'train'))}")
    return Understood(
        labelled,
        next(part.labels_from for part in parts if part.labelled),
        unlabelled=[place for part in parts for place in part.unlabelled],
        left_out=[one for part in parts for one in part.left_out],
        notes=list(dict.fromkeys(note for part in parts for note in part.notes)),
        learned_from=next(part.learned_from for part in parts if part.labelled),
    )


def _out_of_repeated(name: str, pictures: list[Below]) -> tuple[list[Below], Place]:
    """``seg_train/seg_train/…``: an archive unpacked into a folder of its own name."""
    if pictures and all(picture.folders[:1] == (name,) for picture in pictures):
        return _inside(pictures), (name,)
    return pictures, ()


def _only_pictures(pictures: Sequence[Below]) -> bool:
    """All lie in one folder that is called ``images`` or the like."""
    return len({picture.folders for picture in pictures}) == 1 and all(map(is_of_pictures, pictures[0].folders))


def _flat(root: str, where: Place, split: str, pictures: Sequence[Below], flat_labels: FlatLabels) -> Understood:
    places = [picture.place for picture in pictures]
    labels = flat_labels(where, places)
    if labels is not None:
        labelled = [Labelled(place, labels[place], split) for place in places if place in labels]
        missing = [place for place in places if place not in labels]
        return Understood(labelled, NAMES, unlabelled=missing, notes=[f"{'/'.join(where)}: labels from the list in it"])
    note = f"{'/'.join(where)}/ has no class folders: {len(places)} images without a label, kept for tl_sweep.predict"
    return Understood([], "", unlabelled=places, notes=[note])


def _classes(root: str, where: Place, pictures: Sequence[Below], split: str) -> Understood:
    """Of one split, or of everything: classes, or sites with the same classes, or classes with splits."""
    alone = [picture for picture in pictures if not picture.folders]
    if alone:
        raise _beside(root, where, alone, pictures)
    pictures = _without_picture_folders(pictures)
    folders = _named(pictures)
    if all(map(is_of_pictures, folders)):
        where = (*where, *(folders if len(folders) == 1 else ()))
        raise NoClassFolders(f"data.root: no class folders in {'/'.join((root, *where))}; {remedy(_all(folders))}")
    inner = _below(folders, 1)
    everywhere = all(len(picture.folders) > 1 for picture in pictures)
    if everywhere and not split and all(split_of(name) for names in inner.values() for name in names):
        return _classes_then_splits(root, where, folders)
    if everywhere and len(folders) > 1 and _are_alike(root, where, inner):
        return _sites(root, folders, split)
    _require_names_of_classes(root, folders)
    labelled = [Labelled(picture.place, picture.folders[0], split) for picture in pictures]
    return Understood(labelled, NAMES, learned_from=where)


def _require_names_of_classes(root: str, names: Iterable[str]) -> None:
    """A site may be called photo, a class may not.

    Raises:
        UserError: a folder of masks, labels or pictures stands among the classes.
    """
    odd = [name for name in names if is_no_class(name) or is_of_pictures(name)]
    if odd:
        raise _refused(
            root,
            f"{listing(odd)}: a folder of that name is no class",
            "move it away, or name the folder of the classes: data.root=…/<folder>",
        )


def _below(folders: dict[str, list[Below]], depth: int) -> dict[str, set[str]]:
    """What the folders inside each of these are called, ``depth`` levels further in."""
    return {name: {p.folders[depth] for p in inside if len(p.folders) > depth} for name, inside in folders.items()}


def _without_picture_folders(pictures: Sequence[Below]) -> list[Below]:
    """``amazon/images/mug``, ``n01443537/images``: a folder below the first that says only that pictures are inside."""
    if all(len(picture.folders) > 1 and is_of_pictures(picture.folders[1]) for picture in pictures):
        return [Below(picture.place, (picture.folders[0], *picture.folders[2:])) for picture in pictures]
    return list(pictures)


def _classes_then_splits(root: str, where: Place, folders: dict[str, list[Below]]) -> Understood:
    """``<class>/{train,test}``, or, where the splits of all have the same folders, ``<site>/{train,test}/<class>``."""
    deeper = _below(folders, 2)
    through = all(len(picture.folders) > 2 for inside in folders.values() for picture in inside)
    sites = through and len(folders) > 1 and _are_alike(root, where, deeper)
    labelled, unlabelled = [], []
    for name, inside in folders.items():
        for picture in inside:
            split = split_of(picture.folders[1])
            if split == "unlabelled":
                unlabelled.append(picture.place)
            elif sites:
                labelled.append(Labelled(picture.place, picture.folders[2], split, group=name))
            else:
                labelled.append(Labelled(picture.place, name, split))
    _require_names_of_classes(root, {image.label for image in labelled})
    labelled.sort(key=lambda image: image.split != "train")
    notes = [_said_of_sites(folders, {image.label for image in labelled})] if sites else []
    return Understood(labelled, NAMES, unlabelled=unlabelled, notes=notes)


def _are_alike(root: str, where: Place, inner: dict[str, set[str]]) -> bool:
    """Whether all these folders have the same folders in them: then they are sites.

    Raises:
        UserError: half of the names stand in several folders, or they are dates: this can be read in two ways.
    """
    every = set().union(*inner.values())
    shared = {name for name in every if sum(name in names for names in inner.values()) > 1}
    if len(every) > 1 and all(names == every for names in inner.values()) and not all(map(is_date, every)):
        return True
    if len(every) > 1 and 2 * len(shared) >= len(every):
        depth = len(where) + 1
        raise _refused(
            root,
            f"{listing(sorted(inner))} have folders of one name ({listing(sorted(shared))}): which are the classes?",
            f"data.label_level={depth} takes the first, data.label_level={depth + 1} the others",
        )
    return False


def _sites(root: str, folders: dict[str, list[Below]], split: str) -> Understood:
    labelled = [
        Labelled(picture.place, picture.folders[1], split, group=site)
        for site, inside in folders.items()
        for picture in inside
    ]
    _require_names_of_classes(root, {image.label for image in labelled})
    said = _said_of_sites(folders, {image.label for image in labelled})
    return Understood(labelled, f"{NAMES} inside the sites", notes=[said])


def _said_of_sites(sites: Iterable[str], classes: Iterable[str]) -> str:
    names = sorted(sites)
    return SITES.format(count=len(names), names=listing(names, 12), classes=listing(sorted(classes), 12))


def _all(folders: dict[str, list[Below]]) -> list[Place]:
    return [picture.place for inside in folders.values() for picture in inside]


def _places(folders: dict[str, list[Below]], split: str) -> list[Place]:
    return [picture.place for name, inside in folders.items() if split_of(name) == split for picture in inside]


def _beside(root: str, where: Place, alone: Sequence[Below], pictures: Sequence[Below]) -> UserError:
    here = "/".join((root, *where))
    if len(alone) == len(pictures):
        return NoClassFolders(f"data.root: no class folders in {here}; {remedy([picture.place for picture in alone])}")
    what = f"{len(alone)} picture(s) stand beside the class folders: {listing([p.place[-1] for p in alone], 3)}"
    return _refused(here, what, "move them into one, or away")


def _refused(root: str, what: str, remedy: str) -> UserError:
    return UserError(f"data.root: {root}: {what}; {remedy}")
