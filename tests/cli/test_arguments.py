"""Arguments as typed → what is answered: exit code and text. Each row is one command line, in one process.

The folder that they are typed in holds ``My Photos (ü)/{red,green,blue}``, ``a,b``, ``a``, ``b`` and ``photos``.
"""

from __future__ import annotations

import gc
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import Answer, answer_of

from tl_sweep import plan, train

Main = Callable[[], None]
COMMANDS: dict[str, Main] = {"train": train.main, "plan": plan.main}
PHOTOS = "My Photos (ü)"
TYPED = r"""
train freeze=eraly → 1 error: freeze=eraly: no such option; did you mean 'early'?
train modle=resnet18 → 1 error: modle: no such key; did you mean 'model'?
train --hlep → 1 error: --hlep: no such flag; did you mean '--help'?
train --multi-run → 1 error: --multi-run: no such flag; did you mean '--multirun'?
train --optim.lr 0.1 → 1 error: --optim.lr: write optim.lr=0.1
train --optim.lr=0.1 → 1 error: --optim.lr=0.1: write optim.lr=0.1
train lr=0.001 → 1 error: lr: no such key; did you mean optim.lr=0.001?
train root=photos → 1 error: root: no such key; did you mean data.root=photos?
train image_size=64 → 1 error: image_size: no such key; did you mean data.image_size=64?
train name=x → 1 error: name: no such key; did you mean model.name=x or freeze.name=x
train data=photos → 1 error: data=photos: no such option, but a folder; your own images: data.root=photos
train photos → 1 error: photos: arguments are key=value; images in a folder: data.root=photos
train 'My Photos (ü)' → 1 error: My Photos (ü): arguments are key=value; images in a folder: data.root='My Photos (ü)'
train freze → 1 error: freze: arguments are key=value, for instance freeze=all; did you mean 'freeze'?
train seed=0-2 → 1 error: seed=0-2: not a number; several: -m seed=0,1,2
train epochs=10-90 → 1 error: epochs=10-90: not a number; several: -m epochs=range(10,91)
train seed=0,1, → 1 error: seed=0,1,: ends in a comma: seed=0,1
train freeze=none, early → 1 error: freeze=none, early: no blank after a comma: freeze=none,early
train model = resnet18 → 1 error: model =: no blanks around the equals sign: model=resnet18
train model= resnet18 → 1 error: model= resnet18: no blanks around the equals sign: model=resnet18
train epochs=1,2 → 1 error: epochs=1,2: several values need -m
train optim.l2=1,2 → 1 error: optim.l2=1,2: several values need -m; one value that is a list: optim.l2=[1,2]
train epochs=0 → 1 error: epochs=0: must be at least 1
train optim.lr=abc → 1 error: optim.lr=abc: Value 'abc' of type 'str' could not be converted to Float
train freeze=[scratch,all] → 1 error: freeze=[scratch,all]: a list would mix these options into one; to try each: -m freeze=scratch,all
train model=[resnet18,vgg16] → 1 error: model=[resnet18,vgg16]: a list would mix these options into one; to try each: -m model=resnet18,vgg16
train augment=[strong,none] → 1 error: augment=[strong,none]: a list would mix these options into one; to try each: -m augment=strong,none
train data=[digits] → 1 error: data=[digits]: a list would mix these options into one; to try each: -m data=digits
plan freeze=[scratch,all] → 1 error: freeze=[scratch,all]: a list would mix these options into one
plan freeze=[none,all],early → 1 error: freeze=[none,all],early: a list would mix these options into one; to try each: -m freeze=none,all,early
train optim.lr=1 optim=lbfgs freeze=all → 1 error: optim.lr=1.0: L-BFGS searches its own step
train freeze=all optim.lr_scale=3 → 1 error: optim.lr_scale=3.0: only SGD or AdamW reads it, not logistic regression (L-BFGS)
train freeze=all optim.weight_decay=0.1 → 1 error: optim.weight_decay=0.1: only SGD or AdamW reads it, not logistic regression (L-BFGS)
train freeze=all patience=3 → 1 error: patience=3: only SGD or AdamW reads it, not logistic regression (L-BFGS)
train optim.l2=[1] → 1 error: optim.l2=[1.0]: only logistic regression (L-BFGS) reads it, not AdamW
train optim.momentum=0.5 → 1 error: optim.momentum=0.5: only SGD reads it, not AdamW
train freeze=all optim=sgd optim.layer_decay=0.5 → 1 error: optim.layer_decay=0.5: freeze=all trains no stage of the backbone
plan freeze=all optim.lr_scale=1,3 → 1 error: optim.lr_scale=1.0: only SGD or AdamW reads it, not logistic regression (L-BFGS)
plan freeze=all,none optim.lr_scale=1,3 → 0 optim.lr_scale is not read by 2 of 4 combinations
plan optim.lr=interval(0,1) → 1 error: optim.lr=interval(0,1): a grid has no interval; give values: optim.lr=0.1,0.3,1
plan freeze=glob(*) → 0 freeze=depth: how deep? give freeze.frozen_stages=0
plan 'freeze=glob([a*,b*])' → 0 2 of 2 jobs to run
plan freeze=glob(n*) seed=0,1 → 0 2 of 2 jobs to run
plan freeze=eraly → 1 error: freeze=eraly: no such option; did you mean 'early'?
plan modle=resnet18 → 1 error: modle: no such key; did you mean 'model'?
plan optim.lrr=1 → 1 error: optim.lrr: no such key; did you mean 'optim.lr'?
plan seed=0-2 → 1 error: seed=0-2: not a number; several: -m seed=0,1,2
plan epochs=0 → 1 error: epochs=0: must be at least 1
plan model = x → 1 error: model =: no blanks around the equals sign: model=x
train seed=0 --cfg job freeze=all → 0 name: all
train --cfg=job seed=0 freeze=all → 0 name: all
train freeze=all --cfg job --resolve seed=1 → 0 subset_seed: 1
train seed=0 -m --cfg job → 1 error: --cfg shows the configuration of one run: leave out -m
train --info searchpath seed=0 → 0 Provider
train freeze=all -c job seed=0 → 0 seed: 0
train --config-dir nowhere freeze=all --cfg job → 1 error: Additional config directory
train freeze=mine --config-dir own --cfg job → 0 name: mine
plan freeze=mine --config-dir own seed=0,1 → 0 2 of 2 jobs to run
plan seed=0 -m freeze=all,none → 0 2 of 2 jobs to run
plan model=resnet_small -m freeze=all seed=3 → 0 1 of 1 jobs to run
plan data.root=photos → 1 error: data.root: no images under
train data=digits data.root=photos → 1 error: data.root=photos: data=digits does not read it; data=image_folder does
plan data=digits,letters data.root=photos → 1 error: data.root=photos: data=digits does not read it; data=image_folder does
plan data.root=nowhere → 1 error: data.root: there is no folder nowhere.
plan data.root='My Photos (ü)' data.image_size=32 freeze=all → 0 1 of 1 jobs to run
plan data=image_folder data.root="./My Photos (ü)" data.image_size=32 freeze=all → 0 1 of 1 jobs to run
plan data.root="'My Photos (ü)'" data.image_size=32 freeze=all → 0 1 of 1 jobs to run
plan data.root=~/pictures → 1 error: data.root: there is no folder HOME/pictures
plan data.root="x'y&z@w=v#u" → 1 error: data.root: there is no folder x'y&z@w=v#u.
plan data.root=a,b → 1 error: data.root=a,b: one path with a comma, or several? one: "data.root='a,b'"; several: -m "data.root='a','b'"
plan data.root=1e3 → 1 error: data.root: there is no folder 1e3.
train data.root=photos data.image_size=32 --cfg job → 0 name: image_folder
train output.dir='a (1)' --cfg job → 0 dir: a (1)
train model.weights=w/é.pth model=resnet18 → 1 error: PLACE/w/é.pth: there is no such weight file
train freeze=typo --config-dir own → 1 error: own/freeze/typo.yaml: freeze.phasess: no such key; did you mean 'freeze.phases'?
plan freeze=typo --config-dir own → 1 error: own/freeze/typo.yaml: freeze.phasess: no such key; did you mean 'freeze.phases'?
plan freeze=all,typo --config-dir=own → 1 error: own/freeze/typo.yaml: freeze.phasess: no such key
train -m freeze=none,typo --config-dir own → 1 error: own/freeze/typo.yaml: freeze.phasess: no such key
plan freeze=phase --config-dir own → 1 error: own/freeze/phase.yaml: freeze.phases.frozn: no such key; did you mean 'freeze.phases.frozen'?
plan freeze=global --config-dir own → 1 error: own/freeze/global.yaml: sed: no such key; did you mean 'seed'?
plan freeze=type --config-dir own → 1 error: own/freeze/type.yaml: freeze.lr.adamw: Value 'abc' of type 'str' could not be converted to Float
plan freeze=nolist --config-dir own → 1 error: own/freeze/nolist.yaml: freeze.phases: a list is wanted; begin each entry with '- '
plan freeze=list --config-dir own → 1 error: own/freeze/list.yaml: it holds a list; an option file has a line per key: value
plan freeze=value --config-dir own → 1 error: own/freeze/value.yaml: freeze.phases[0].parameters=al: allowed: all, norm; did you mean 'all'?
train freeze=value --config-dir own → 1 error: own/freeze/value.yaml: freeze.phases[0].parameters=al: allowed: all, norm; did you mean 'all'?
plan freeze=empty --config-dir own → 1 error: own/freeze/empty.yaml: freeze.name: must be given
plan freeze=lookup --config-dir own → 1 error: freeze.lr.adamw: Interpolation key 'nowhere.x' not found
train --config-dir own --config-name whole → 1 error: own/whole.yaml: sed: no such key; did you mean 'seed'?
train freeze=tab --config-dir own → 1 error: own/freeze/tab.yaml, line 2: a tab stands where blanks must; indent with blanks
plan freeze=tab --config-dir own → 1 error: own/freeze/tab.yaml, line 2: a tab stands where blanks must; indent with blanks
train freeze=quote --config-dir own → 1 error: own/freeze/quote.yaml, line 2: the quote is never closed; close it
plan freeze=bracket --config-dir own → 1 error: own/freeze/bracket.yaml, line 3: the bracket is never closed, or a comma is missing
plan freeze=indented --config-dir own → 1 error: own/freeze/indented.yaml, line 2: a key where none may be; keys of one level begin in the same column
plan freeze=twice --config-dir own → 1 error: own/freeze/twice.yaml, line 2: the key stands twice; leave one of them
plan freeze=latin --config-dir own → 1 error: own/freeze/latin.yaml: it is not in UTF-8; save it as UTF-8
plan freeze=bell --config-dir own → 1 error: own/freeze/bell.yaml: a character that YAML has not
train device=cuda data.image_size=32 freeze=all → 1 error: device=cuda: torch sees no CUDA device here
train -m device=cuda seed=0,1 data.image_size=32 freeze=all → 1 error: device=cuda: torch sees no CUDA device here; use device=cpu or device=auto  [2 of 2 jobs]
plan device=cuda data.image_size=32 freeze=all → 1 error: device=cuda: torch sees no CUDA device here
plan device=mps data.image_size=32 freeze=all → 1 error: device=mps: torch sees no MPS device here
train device=gpu → 1 error: device=gpu: allowed: auto, cpu, cuda, mps; did you mean 'cpu'?
"""
OWN_FILES = {
    "freeze/mine": "name: mine\nphases: [{frozen: half}]\nlr: {adamw: 1e-3}\n",
    "freeze/typo": "name: typo\nphasess: [{frozen: half}]\n",
    "freeze/phase": "name: phase\nphases: [{frozn: half}]\n",
    "freeze/global": "# @package _global_\nsed: 3\n",
    "freeze/type": "name: type\nlr: {adamw: abc}\n",
    "freeze/nolist": "name: nolist\nphases:\n  frozen: half\n",
    "freeze/list": "- a\n- b\n",
    "freeze/value": "name: value\nphases: [{frozen: half, parameters: al}]\nlr: {adamw: 1e-3}\n",
    "freeze/empty": "",
    "freeze/lookup": "name: lookup\nphases: [{frozen: half}]\nlr: {adamw: '${nowhere.x}'}\n",
    "freeze/tab": "name: tab\n\tphases: [{frozen: half}]\n",
    "freeze/quote": "phases: [{frozen: half}]\nname: 'open\n",
    "freeze/bracket": "name: bracket\nphases: [{frozen: half}\nlr: {adamw: 1e-3}\n",
    "freeze/indented": "name: indented\n  phases: [{frozen: half}]\n",
    "freeze/twice": "name: twice\nname: again\n",
    "freeze/latin": "name: caf\N{LATIN SMALL LETTER E WITH ACUTE}\n",
    "freeze/bell": "name: \a\n",
    "whole": "defaults: [config, _self_]\nsed: 3\n",
}
ROWS = [tuple(line.split(" → ")) for line in TYPED.strip().splitlines()]


@pytest.fixture(autouse=True, scope="module")
def uncollected() -> Iterator[None]:
    """A hundred commands in one process: looking for garbage would take a seventh of the time."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, image_root: Path) -> Path:
    folder = tmp_path_factory.mktemp("typed here")
    shutil.copytree(image_root, folder / PHOTOS)
    for name in ("a,b", "a", "b", "photos/red", "photos/blue", "own/freeze"):
        (folder / name).mkdir(parents=True)
    for name, text in OWN_FILES.items():
        (folder / "own" / f"{name}.yaml").write_text(text, encoding="latin-1")
    return folder


@pytest.mark.parametrize(("typed", "answer"), ROWS, ids=[typed for typed, _ in ROWS])
def test_what_is_typed_is_answered(typed: str, answer: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("HOME", str(place / "home"))
    name, *words = shlex.split(typed)
    code, _, text = answer.partition(" ")
    got: Answer = answer_of(COMMANDS[name], *words)
    expected = text.replace("HOME", str(place / "home")).replace("PLACE", str(place))
    assert expected in got.out + got.err
    assert got.code == int(code)
    assert "Traceback" not in got.err
