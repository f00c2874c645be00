"""Where weights come from, what is refused before a sweep starts, and what a file must hold. Offline."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import ModelConfig
from tl_sweep.models import weights as weights_module
from tl_sweep.models.build import build_model
from tl_sweep.models.catalog import architecture_label
from tl_sweep.models.stages import StagedModel
from tl_sweep.models.weights import (
    WeightsFile,
    WeightsSource,
    checkpoints_dir,
    digest_of,
    fetch,
    letters_path,
    read_tensors,
    resolve,
    verified,
)

ASSETS = Path(__file__).parents[2].parent / "shared" / "assets" / "weights"
SMALL = ModelConfig(name="resnet_small")


@pytest.fixture(autouse=True)
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "torch home"
    monkeypatch.setenv("TORCH_HOME", str(home))
    return home


def problems_of(call, *args, **kwargs) -> list[str]:
    with pytest.raises(UserError) as error:
        call(*args, **kwargs)
    return str(error.value).splitlines()


def build(config: ModelConfig, path: Path, *, image_px: int = 32, pooled: bool = False) -> StagedModel:
    model = build_model(config, 6, image_px, weights=verified(path), head_seed=0, pooled=pooled)
    model.load()
    return model


def small_state(seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return build_model(SMALL, 10, 32, weights=None, head_seed=seed).module.state_dict()


# --- resolve: what the value means


def kind_of(value: str | None) -> str:
    return resolve(ModelConfig(name="resnet18", weights=value), Path("weights")).kind


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "none"),
        ("imagenet", "download"),
        ("IMAGENET1K_V1", "download"),
        ("letters", "letters"),
        ("letters_clean", "letters"),
        ("run:0123abc", "run"),
        ("run:weights.pth", "run"),
        ("resnet18.pth", "file"),
        ("resnet18.safetensors", "file"),
        ("folder/imagenet", "file"),
        ("./letters", "file"),
    ],
)
def test_values_are_resolved_in_the_documented_order(value, kind):
    assert kind_of(value) == kind


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("resnet18", "none", "model.weights='none': no such weights; did you mean null?"),
        ("resnet18", "", "model.weights='': no such weights; did you mean null?"),
        ("resnet18", "IMAGENET1K_V2", "model.weights='IMAGENET1K_V2': resnet18 has no such weights; allowed are null, "
         "letters, letters_clean, imagenet, IMAGENET1K_V1, run:<id> and the path of a file; did you mean "
         "'IMAGENET1K_V1'?"),
        ("residual", "imagenet", "model.weights='imagenet': residual has no such weights; allowed are null, letters, "
         "letters_clean, run:<id> and the path of a file"),
        ("resnet81", "imagenet", "model.name=resnet81: neither torchvision nor we (resnet_small, residual) have it. "
         "did you mean 'resnet18'?"),
    ],
    ids=["none", "empty", "enum", "ours", "model"],
)  # fmt: skip
def test_values_that_mean_nothing_are_refused(name, value, problem):
    config = ModelConfig(name=name, weights=value)
    assert problems_of(resolve, config, Path("weights")) == [problem]


def test_imagenet_is_torchvisions_default_in_torchs_own_cache(torch_home):
    source = resolve(ModelConfig(name="resnet50", weights="imagenet"), Path("weights"))
    assert source.path == torch_home / "hub" / "checkpoints" / "resnet50-11ad3fa6.pth"
    assert source.url == torchvision.models.ResNet50_Weights.DEFAULT.url
    assert source.sha256_prefixes == ("11ad3fa6",)


@pytest.mark.parametrize(
    "variables", [{"TORCH_HOME": "/t"}, {"XDG_CACHE_HOME": "/x"}, {}], ids=["torch", "xdg", "home"]
)
def test_the_cache_is_where_torch_hub_looks(variables, monkeypatch):
    for variable in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert str(checkpoints_dir()) == os.path.join(torch.hub.get_dir(), "checkpoints")


@pytest.mark.parametrize("value", ["letters", "letters_clean"])
def test_letters_weights_of_the_small_network_are_shipped_and_others_kept_in_weights_dir(value):
    shipped = letters_path(ModelConfig(name="resnet_small", weights=value), Path("/w"))
    assert shipped.parts[-3:] == ("tl_sweep", "weights", f"{value}-resnet_small.safetensors")
    for config in (ModelConfig(name="vgg11", weights=value), ModelConfig("resnet_small", value, norm="group")):
        assert letters_path(config, Path("/w")) == Path(f"/w/{value}-{architecture_label(config)}.safetensors")


@pytest.mark.parametrize(
    ("filename", "sha256", "prefixes"),
    [
        ("resnet18.pth", None, ()),
        ("squeezenet1_1-imagenet.pth", None, ()),
        ("mine-0123abcd.pth", None, ("0123abcd",)),
        ("resnet18.pth", "ABCDEF0123", ("abcdef0123",)),
        ("mine-0123abcd.pth", "0123abcdef", ("0123abcdef", "0123abcd")),
    ],
)
def test_hashes_are_promised_by_the_key_and_by_the_name(filename, sha256, prefixes):
    config = ModelConfig(name="resnet18", weights=filename, sha256=sha256)
    assert resolve(config, Path("weights")).sha256_prefixes == prefixes


@pytest.mark.parametrize("sha256", ["123", "0123abcg", "0" * 65])
def test_a_hash_that_is_none_is_refused(sha256):
    config = ModelConfig(name="resnet18", weights="a.pth", sha256=sha256)
    assert problems_of(resolve, config, Path()) == [f"model.sha256={sha256}: 8 to 64 hex digits are wanted"]


# --- fetch: files on this machine, or not


@pytest.fixture
def closed_url() -> str:
    """An address at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def published(tmp_path: Path, server: str, *, promised: str | None = None) -> WeightsSource:
    """A state dict on the server, named by its hash or by a promised one, as a source."""
    file = tmp_path / "state.pth"
    torch.save(small_state(), file)
    prefix = promised or digest_of(file)[:8]
    name = f"small-{prefix}.pth"
    file.rename(tmp_path / "site" / name)
    return WeightsSource("download", checkpoints_dir() / name, f"{server}/{name}", sha256_prefixes=(prefix,))


def test_a_download_lands_in_the_cache_with_the_right_hash(tmp_path, server):
    source = published(tmp_path, server)
    fetch([source, source])
    assert read_tensors(source.path).keys() == small_state().keys()
    assert [path.name for path in checkpoints_dir().iterdir()] == [source.path.name]


def test_a_download_with_another_hash_is_refused_and_not_kept(tmp_path, server):
    source = published(tmp_path, server, promised="01234567")
    problem, remedies = problems_of(fetch, [source])
    assert problem.startswith("small-01234567.pth is not on this machine, and the download from 127.0.0.1:")
    assert 'invalid hash value (expected "01234567", got "' in problem
    assert list(checkpoints_dir().iterdir()) == []
    assert remedies == weights_module.REMEDIES


def test_a_file_that_the_server_lacks_is_named_with_the_servers_answer(server):
    path = checkpoints_dir() / "gone-01234567.pth"
    source = WeightsSource("download", path, f"{server}/gone-01234567.pth", sha256_prefixes=("01234567",))
    host = server.removeprefix("http://")
    assert problems_of(fetch, [source])[:-1] == [
        f"gone-01234567.pth is not on this machine, and {host} answers 404 File not found; "
        f"fetch {source.url} elsewhere and put it at {path}"
    ]


def offline(config: ModelConfig, url: str) -> WeightsSource:
    source = resolve(config, Path("weights"))
    return replace(source, url=f"{url}/{source.path.name}")


def test_offline_every_missing_file_is_named_once_with_its_place_and_the_remedies(closed_url, torch_home):
    names = ("resnet18", "vgg16", "resnet18")
    sources = [offline(ModelConfig(name=name, weights="imagenet"), closed_url) for name in names]
    problems = problems_of(fetch, sources)
    host = closed_url.removeprefix("http://")
    assert problems == [
        *(
            f"{name} is not on this machine, and {host} cannot be reached ([Errno 111] Connection refused); "
            f"fetch {closed_url}/{name} elsewhere and put it at {torch_home}/hub/checkpoints/{name}"
            for name in ("resnet18-f37072fd.pth", "vgg16-397923af.pth")
        ),
        "or else: a file you have, by its path (model.weights=/path/to/file.pth); weights trained here in minutes "
        "(model.weights=letters); no weights (model.weights=null, or freeze=scratch)",
    ]


def test_a_host_that_never_answers_is_given_up_in_time():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a-01234567.pth"
        source = WeightsSource("download", checkpoints_dir() / "a-01234567.pth", url)
        start = time.monotonic()
        problems = problems_of(fetch, [source], answer_s=0.3)
        assert time.monotonic() - start < 5
    assert "cannot be reached (timed out)" in problems[0] or "did not answer within 0.3 s" in problems[0]


def test_cached_files_are_used_without_a_network(closed_url):
    source = offline(ModelConfig(name="resnet18", weights="imagenet"), closed_url)
    source.path.parent.mkdir(parents=True)
    torch.save(small_state(), source.path)
    cached = replace(source, sha256_prefixes=(digest_of(source.path)[:8],))
    assert fetch([cached]) is None


def test_a_truncated_file_in_the_cache_is_refused_by_its_hash(closed_url):
    source = offline(ModelConfig(name="resnet18", weights="imagenet"), closed_url)
    source.path.parent.mkdir(parents=True)
    source.path.write_bytes(b"half a file")
    begins = hashlib.sha256(b"half a file").hexdigest()[:8]
    assert problems_of(fetch, [source]) == [
        f"{source.path}: its SHA-256 begins with {begins}, its name says f37072fd; remove it, or rename it if these "
        "digits are no hash"
    ]


def test_missing_and_wrong_files_are_reported_together(tmp_path):
    torch.save({}, tmp_path / "resnet18.pth")
    begins = digest_of(tmp_path / "resnet18.pth")[:8]
    given = [("resnet81.pth", None), ("resnet18.pth", "00000000"), ("elsewhere/a.pth", None)]
    configs = [ModelConfig(name="resnet18", weights=f"{tmp_path}/{name}", sha256=sha256) for name, sha256 in given]
    assert problems_of(fetch, [resolve(config, Path("weights")) for config in configs]) == [
        f"{tmp_path}/resnet81.pth: there is no such weight file; did you mean 'resnet18.pth'?",
        f"{tmp_path}/resnet18.pth: its SHA-256 begins with {begins}, 00000000 was expected; it is truncated "
        "or another file",
        f"{tmp_path}/elsewhere/a.pth: there is no such weight file",
    ]


def test_fetch_leaves_letters_runs_and_nothing_to_others():
    kinds = [resolve(ModelConfig(name="vgg11", weights=value), Path("/w")) for value in (None, "letters", "run:1")]
    assert fetch(kinds) is None


def test_checking_files_does_not_import_torch(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"")
    code = (
        "import sys; from pathlib import Path; from tl_sweep.config.schema import ModelConfig; "
        "from tl_sweep.models.weights import fetch, resolve; "
        f"fetch([resolve(ModelConfig(name='resnet18', weights={str(tmp_path / 'a.pth')!r}), Path())]); "
        "print('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "False\n"


def test_a_digest_is_computed_again_when_the_file_changes(tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(b"one")
    assert digest_of(path) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"three")
    assert verified(path) == WeightsFile(path, hashlib.sha256(b"three").hexdigest())


# --- read_tensors: what a file holds


def saved(folder: Path, content: object, name: str = "a.pth") -> Path:
    torch.save(content, folder / name)
    return folder / name


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state},
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
    ],
    ids=["plain", "state_dict", "model", "data-parallel", "both"],
)
def test_state_dicts_are_unwrapped(wrap, tmp_path):
    state = small_state()
    tensors = read_tensors(saved(tmp_path, wrap(state)))
    assert list(tensors) == list(state)
    assert all(torch.equal(tensors[name], state[name]) for name in state)


def test_safetensors_are_read(tmp_path):
    save_file(small_state(), tmp_path / "a.safetensors")
    assert read_tensors(tmp_path / "a.safetensors").keys() == small_state().keys()


class Foreign:
    """Not a tensor: unpickling it would run code of somebody's."""


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_named(suffix, share, tmp_path):
    whole, path = tmp_path / f"whole{suffix}", tmp_path / f"half{suffix}"
    save_file(small_state(), whole) if suffix == ".safetensors" else torch.save(small_state(), whole)
    path.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    (problem,) = problems_of(read_tensors, path)
    assert problem.startswith(f"{path}: truncated, or no file of weights alone (")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (Foreign(), "truncated, or no file of weights alone ("),
        ([1, 2], "holds no state dict but list; save model.state_dict()"),
        ({}, "holds no state dict but dict; save model.state_dict()"),
        ({"fc.weight": torch.zeros(1), "epoch": 3}, "'epoch' in it is no tensor; save model.state_dict()"),
    ],
    ids=["object", "list", "empty", "mixed"],
)
def test_a_file_of_something_else_is_refused(content, problem, tmp_path):
    path = saved(tmp_path, content)
    (message,) = problems_of(read_tensors, path)
    assert message.startswith(f"{path}: {problem}")


# --- loading into a model


def test_everything_but_the_head_is_loaded_strictly(tmp_path):
    state = small_state(seed=5)
    model = build(SMALL, saved(tmp_path, state)).module.state_dict()
    assert all(torch.equal(model[name], state[name]) for name in state if not name.startswith("fc."))
    assert model["fc.weight"].shape == (6, 64)


@pytest.mark.parametrize(
    ("damage", "mismatch"),
    [
        (lambda state: state.pop("layer1.0.conv1.weight"), "layer1.0.conv1.weight is missing"),
        (lambda state: state.update({"layer9.weight": torch.zeros(1)}), "layer9.weight is not in the model"),
        (
            lambda state: state.update({"bn1.bias": torch.zeros(32)}),
            "bn1.bias has shape (32,), the model's has (16,)",
        ),
    ],
    ids=["missing", "unexpected", "shape"],
)
def test_the_first_mismatch_is_named(damage, mismatch, tmp_path):
    state = small_state()
    damage(state)
    path = saved(tmp_path, state)
    assert problems_of(build, SMALL, path) == [f"{path}: weights of another network: {mismatch}"]


def test_a_file_of_another_architecture_is_refused(tmp_path):
    path = saved(tmp_path, small_state())
    (problem,) = problems_of(build, ModelConfig(name="resnet18"), path, image_px=64)
    assert problem == f"{path}: weights of another network: conv1.weight has shape (16, 3, 3, 3), the model's has " + (
        "(64, 3, 7, 7)"
    )


def test_files_without_batch_counters_load(tmp_path):
    state = {name: tensor for name, tensor in small_state().items() if not name.endswith("num_batches_tracked")}
    assert build(SMALL, saved(tmp_path, state)).module.get_buffer("bn1.num_batches_tracked") == 0


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v2"])
def test_real_weights_load_and_a_renewed_model_loads_again(name, tmp_path):
    path = ASSETS / f"{name}-imagenet.pth"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    model = build(ModelConfig(name=name), path, image_px=64)
    again = build(ModelConfig(name=name), saved(tmp_path, model.module.state_dict()), image_px=64)
    names = [name for k in range(model.num_stages) for name in model.tensors_of(k)]
    assert names
    assert all(torch.equal(model.module.state_dict()[name], again.module.state_dict()[name]) for name in names)


def test_pooled_models_ignore_the_hidden_layers_of_a_file(tmp_path):
    config = ModelConfig(name="mobilenet_v3_small")
    state = torchvision.models.mobilenet_v3_small().state_dict()
    model = build(config, saved(tmp_path, state), pooled=True)
    assert torch.equal(model.module.state_dict()["features.0.0.weight"], state["features.0.0.weight"])
    assert model.module.get_parameter("classifier.weight").shape == (6, 576)


def test_hidden_layers_must_match_where_they_are_kept(tmp_path):
    state = torchvision.models.mobilenet_v3_small().state_dict()
    state["classifier.0.weight"] = torch.zeros(7, 576)
    (problem,) = problems_of(build, ModelConfig(name="mobilenet_v3_small"), saved(tmp_path, state))
    assert problem.endswith("classifier.0.weight has shape (7, 576), the model's has (1024, 576)")


def small_vit(image_size: int) -> nn.Module:
    return torchvision.models.VisionTransformer(image_size, 16, num_layers=4, num_heads=2, hidden_dim=8, mlp_dim=16)


@pytest.fixture
def tiny_vit_b_16(monkeypatch: pytest.MonkeyPatch) -> ModelConfig:
    """``vit_b_16`` at a ten-thousandth of its size."""
    monkeypatch.setattr(torchvision.models, "get_model", lambda name, weights, image_size: small_vit(image_size))
    return ModelConfig(name="vit_b_16")


def test_position_embeddings_are_interpolated_to_the_input_size(tiny_vit_b_16, tmp_path):
    state = small_vit(64).state_dict()
    positions_HWD = torch.linspace(0, 3, 4)[:, None, None].expand(4, 4, 8)
    state["encoder.pos_embedding"][0, 1:] = positions_HWD.reshape(16, 8)
    model = build(tiny_vit_b_16, saved(tmp_path, state), image_px=112)
    loaded_SD = model.module.get_parameter("encoder.pos_embedding")[0]
    assert torch.equal(loaded_SD[0], state["encoder.pos_embedding"][0, 0])
    rows_H = loaded_SD[1:].reshape(7, 7, 8)[:, 0, 0]
    assert rows_H[[0, 3, 6]].tolist() == pytest.approx([0, 1.5, 3], abs=1e-5)
    assert model(torch.zeros(1, 3, 112, 112)).shape == (1, 6)


def test_vision_transformer_files_of_the_same_size_load_bit_for_bit(tiny_vit_b_16, tmp_path):
    state = small_vit(64).state_dict()
    loaded = build(tiny_vit_b_16, saved(tmp_path, state), image_px=64).module.state_dict()
    assert all(torch.equal(loaded[name], state[name]) for name in state if not name.startswith("heads."))


def test_names_of_older_vision_transformer_files_are_understood(tiny_vit_b_16, tmp_path):
    state = small_vit(64).state_dict()
    old = {
        name.replace(".mlp.0.", ".mlp.linear_1.").replace(".mlp.3.", ".mlp.linear_2."): tensor
        for name, tensor in state.items()
    }
    loaded = build(tiny_vit_b_16, saved(tmp_path, old), image_px=64).module.state_dict()
    name = "encoder.layers.encoder_layer_1.mlp.3.weight"
    assert old.keys() != state.keys()
    assert torch.equal(loaded[name], state[name])


def test_names_of_older_densenet_files_are_understood(tmp_path):
    state = torchvision.models.densenet121().state_dict()
    old = {name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): tensor for name, tensor in state.items()}
    loaded = build(ModelConfig(name="densenet121"), saved(tmp_path, old), image_px=64).module.state_dict()
    name = "features.denseblock1.denselayer2.conv2.weight"
    assert name not in old
    assert torch.equal(loaded[name], state[name])
