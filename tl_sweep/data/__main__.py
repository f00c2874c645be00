"""One look at a data set before anything runs:  python -m tl_sweep.data <the overrides of tl_sweep.train>

    python -m tl_sweep.data data.root=photos
    python -m tl_sweep.data data.root=photos model=resnet18 data.image_size=160 page=look.html

Prints what was understood: classes with their counts, where the labels came from, the parts, sizes and modes, groups,
what was left out and why. Writes a page (output.dir/data.html, or page=<file>) with a contact sheet of each class as
the network sees it, and the names of all files that were left out beside it (.csv). Ends with 1 where a sweep would be
refused.
"""

from __future__ import annotations

import sys

from tl_sweep import train
from tl_sweep.base.command_line import errors_for_people
from tl_sweep.base.errors import UserError

INSPECTOR = "hydra/sweeper=tl_sweep_data"
PAGE = "page="


def main() -> None:
    arguments = [argument for argument in sys.argv[1:] if argument not in ("-m", "--multirun")]
    with errors_for_people():
        if {"-h", "--help"} & set(arguments):
            print(__doc__)
            return
        pages = [word.removeprefix(PAGE) for word in arguments if word.startswith(PAGE)]
        wrong = [page for page in pages if not page.endswith(".html")]
        if wrong:
            raise UserError(f"{PAGE}{wrong[0]}: the page is an .html file")
        others = [word for word in arguments if not word.startswith(PAGE)]
        sys.argv[1:] = ["-m", *others, INSPECTOR, *(f"hydra.sweeper.page='{page}'" for page in pages[-1:])]
        train.main()


if __name__ == "__main__":
    main()
