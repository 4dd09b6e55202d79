"""`study levels`: what it writes works, and what a level may lack or do wrong is said."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from study.__main__ import main
from study.config.configuration import use_levels

HEAD = """
import torch
from torch import nn
from study.levels import activation, initialization, key, norm, number, optimizer, schedule
from study.levels import augmentation, callback, probe
import lightning

"""
WRONG = {
    "missing": (
        "@activation\ndef mine(): return nn.ReLU()\n", {},
        "missing  {folder}/activation/mine.yaml, with a comment"),
    "gradient": (
        """
class Double(torch.autograd.Function):
    @staticmethod
    def forward(context, x): return 2 * x
    @staticmethod
    def backward(context, gradient): return 3 * gradient

@activation("mine")
class Mine(nn.Module):
    def forward(self, x): return Double.apply(x)
""", {"activation": ""}, "wrong    its gradient is "),
    "law": (
        "@initialization(variance=lambda shape, keys: 1.0)\n"
        "def mine(weight, generator): nn.init.normal_(weight, std=0.1, generator=generator)\n",
        {"init": "bias: 0.0\n"}, "wrong    dense: its law says variance 1, its weights have 0.0"),
    "no law": (
        "@initialization\n"
        "def mine(weight, generator): nn.init.normal_(weight, std=0.1, generator=generator)\n",
        {"init": "bias: 0.0\n"}, "note     no law given"),
    "another generator": (
        "@initialization\ndef mine(weight, generator): nn.init.normal_(weight)\n",
        {"init": "bias: 0.0\n"}, "wrong    dense: it draws from PyTorch's generator"),
    "a key without an argument": (
        "@activation(key('beta', number(), 'x'))\ndef mine(): return nn.ReLU()\n",
        {"activation": "beta: 1.0\n"}, "takes no parameters; leave 'beta' out"),
    "raises": (
        "@norm\ndef mine(num_features): raise KeyError('x')\n", {"norm": ""},
        "wrong    norm=mine: KeyError: 'x'"),
    "mixes": (
        "@optimizer(elementwise=True)\ndef mine(groups, lr): return Unit(groups, lr)\n"
        "class Unit(torch.optim.Optimizer):\n"
        "    def __init__(self, groups, lr): super().__init__(groups, {'lr': lr})\n"
        "    @torch.no_grad()\n"
        "    def step(self):\n"
        "        for group in self.param_groups:\n"
        "            for each in group['params']:\n"
        "                each -= group['lr'] * each.grad / each.grad.norm()\n",
        {"optimizer": "lr: 0.1\nweight_decay: 0.0\n"}, "is another than alone"),
    "stands still": (
        "class Still(torch.optim.SGD):\n    def step(self): pass\n"
        "@optimizer\ndef mine(groups, lr): return Still(groups, lr=lr)\n",
        {"optimizer": "lr: 0.1\nweight_decay: 0.0\n"}, "wrong    optimizer=mine, mlp: an update"),
    "schedule": (
        "@schedule\ndef mine(epoch, num_epochs): return 1 - epoch\n",
        {"schedule": "warmup_epochs: 0\n"}, "wrong    in epoch 2 of 5 its factor is -0."),
    "no number for each": (
        "@probe\ndef mine(layer): return layer.activation.amax()\n",
        {}, "wrong    probes.own=mine: probes.own=mine returns []: it takes a tensor of a"),
    "not finite": (
        "@probe\ndef mine(layer): return 0 * layer.weight.flatten(1).sum(1) / 0\n",
        {}, "wrong    probes.own=mine, mlp: of layer 1 it is [nan, nan]"),
    "mixes replicas": (
        "@probe\ndef mine(layer): return layer.weight.flatten(1).sum(1).cumsum(0)\n",
        {}, "wrong    probes.own=mine, mlp: stacked, layer 1 has ["),
    "changes weights": (
        "@probe\ndef mine(layer): return layer.weight.mul_(2).flatten(1).sum(1)\n",
        {}, "wrong    probes.own=mine, mlp: it changes the network"),
    "a probe that draws": (
        "@probe\ndef mine(layer): return torch.rand(len(layer.weight))\n",
        {}, "wrong    probes.own=mine, mlp: it draws random numbers"),
    "no number of it": (
        "@probe\ndef mine(layer): return None\n",
        {}, "note     probes.own=mine, mlp: layer 1 has no such number"),
    "taken": (
        "@probe\ndef dead_fraction(layer): ...\n",
        {}, "probes.own=dead_fraction exists already; give it another name"),
    "another shape": (
        "@augmentation\ndef mine(images, generator): return images[..., 1:]\n",
        {}, "wrong    data.augment=mine: data.augment=mine makes [8, 3, 32, 31] of torch.float64"),
    "another type": (
        "@augmentation\ndef mine(images, generator): return images.float()\n",
        {}, "makes [8, 3, 32, 32] of torch.float32 out of [8, 3, 32, 32] of torch.float64"),
    "draws elsewhere": (
        "@augmentation\ndef mine(images, generator): return images + torch.randn(1)\n",
        {}, "wrong    it draws from PyTorch's generator"),
    "remembers": (
        "@augmentation\ndef mine(images, generator, *, seen=[]):\n"
        "    seen.append(1)\n    return images * len(seen)\n",
        {}, "wrong    from one generator it makes other images each time"),
    "stops": (
        "@callback\nclass mine(lightning.Callback):\n"
        "    def on_train_epoch_end(self, trainer, pl_module): trainer.should_stop = True\n",
        {}, "wrong    it stops training"),
    "keeps what no file can": (
        "@callback\nclass mine(lightning.Callback):\n"
        "    def state_dict(self): return {'self': self}\n",
        {}, "wrong    callbacks=mine: TypeError: "),
    "no callback": (
        "@callback\nclass mine: ...\n", {}, "wrong    callbacks=mine: callbacks=mine makes a mine"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    use_levels()


def test_what_is_written_to_start_from_is_found_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "levels"
    assert main(["levels", "new", str(folder)]) == 0
    capsys.readouterr()
    assert main(["levels", "check", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert {line[:5] for line in printed.splitlines()[1:]} == {"  ok "}
    assert printed.count("stacked = alone") == 2
    assert main(["levels", "new", str(folder)]) == 2


@pytest.mark.parametrize("case", WRONG)
def test_what_a_level_lacks_is_one_line(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python, files, line = WRONG[case]
    (tmp_path / "mine.py").write_text(HEAD + python)
    for group, keys in files.items():
        (tmp_path / group).mkdir()
        (tmp_path / group / "mine.yaml").write_text(f"# mine\nname: mine\n{keys}")
    status = main(["levels", "check", str(tmp_path)])
    printed = capsys.readouterr().out
    assert line.format(folder=tmp_path) in printed
    assert (status == 0) == line.startswith("note")


def test_a_folder_without_levels_is_one_line(tmp_path: Path) -> None:
    assert main(["levels", "check", str(tmp_path)]) == 2
