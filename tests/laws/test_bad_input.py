"""Bad input: one clear line, exit status 2, nothing written."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from study.__main__ import main
from study.config.compose import SWITCHES
from study.config.keys import KEYS
from tests.synthetic import ledger_cell, make_study, write_ledger

LONGEST = 450


def saved(root: Path) -> set[str]:
    """All files but the lock that reading an image folder takes in it."""
    return {str(path) for path in root.rglob("*") if path.name != ".study-tensors.safetensors.lock"}


class Refused:
    """Runs a command line that must be refused in the prescribed way; returns its line."""

    def __init__(self, capsys: pytest.CaptureFixture[str], root: Path) -> None:
        self.capsys = capsys
        self.root = root

    def __call__(self, *arguments: str) -> str:
        before = saved(self.root)
        assert main(arguments) == 2
        out, err = self.capsys.readouterr()
        assert out == ""
        assert err.startswith("study: ")
        assert err.endswith("\n")
        assert len(err.splitlines()) == 1
        assert len(err) < LONGEST
        assert saved(self.root) == before
        return err


@pytest.fixture
def refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Refused:
    monkeypatch.chdir(tmp_path)
    return Refused(capsys, tmp_path)


UNIT = "data.normalize=unit"
CASES: list[tuple[Sequence[str], str]] = [
    (["activation=rleu"], "unknown activation 'rleu' (did you mean 'relu'?); choose from: elu"),
    (["init=he_norml"], "unknown init 'he_norml' (did you mean 'he_normal'?)"),
    (["data=mnits"], "unknown data 'mnits' (did you mean 'mnist'?)"),
    (["norm=group"], "choose from: batch, layer, none"),
    (["norm=BatchNorm"], "(did you mean 'batch'?)"),
    (["init=he"], "(did you mean 'he_normal', 'he_average' or 'he_lecture'?)"),
    (["init=kaiming_uniform"], "(did you mean 'he_uniform'?)"),
    (["activation=LeakyReLU"], "(did you mean 'leaky_relu'?)"),
    (["experiment=quickstrat"], "did you mean 'quickstart'?"),
    (["pretraining=autoencoder", "pretraining.layers=9"], "has 3 hidden layers to pretrain"),
    (["pretraining=rbm", "model=cnn", UNIT], "layer 1 is a convolution"),
    (["pretraining=rbm", UNIT], "ReLU of layer 1 is not the probability"),
    (["pretraining='denoising_autoencoder corruption_level=1.0'"], "corruption=masking: it takes"),
    (["pretraining='autoencoder loss=cross_entropy'"], "use data.normalize=unit or binary"),
    (["pretraining=supervised", "model=autoencoder", UNIT], "model=autoencoder has none"),
    (["pretraining='autoencoder epochs=[1,2]'"], "has 2 values for 3 layers"),
    (["batchsize=64"], "unknown key 'batchsize' (did you mean batch_size?)"),
    (["optimiser=sgd"], "did you mean optimizer?"),
    (["epochs=5"], "unknown key 'epochs': write trainer.max_epochs=N"),
    (["every=5"], "(did you mean schedule.every_epochs?)"),
    (["model.depth=8"], "model.widths=8x64 is eight hidden layers of 64"),
    (["model.widths=0x40"], "or such as 8x64, eight of 64"),
    (["model.widths=999999x1"], "is out of range"),
    (["model.widths=10001x1"], "eight of 64 (of at most 10000)"),
    ([f"study={'a' * 101}"], "at most 100 letters"),
    (["study=mine."], "ended by no . or space"),
    (["+paths.output_dir=runs"], "write data.root=DIR and outputs_dir=DIR"),
    (["debug=default"], "write data.train_size=N"),
    (["tags=[mine]"], "a cell's factors are its tags"),
    (["model.optimizer.lr=0.1"], "as in model=cnn optimizer=adam"),
    (["ckpt_path=last.ckpt"], "type the same command again"),
    (["trainer.gpus=2"], "write trainer.accelerator=cuda"),
    (["+trainer.strategy=ddp"], "hydra/launcher=machine"),
    (["hydra.run.dir=runs"], "write outputs_dir=DIR and study=NAME"),
    (["hydra.sweep.dir=runs"], "write outputs_dir=DIR and study=NAME"),
    (["hydra.sweep.subdir=a"], "write outputs_dir=DIR and study=NAME"),
    (["hydra.output_subdir=a"], "write outputs_dir=DIR and study=NAME"),
    (["hydra/sweeper=optuna"], "no sweeper is used: list the values"),
    (["-m", "hydra/sweeper=basic,optuna"], "no sweeper is used: list the values"),
    (["hydra.sweeper.params={activation:'relu,tanh'}"], "no sweeper is used: list the values"),
    (["hydra.searchpath=[file:///tmp]"], "write --config-dir DIR"),
    (["hydra.job.name=mine"], "write study=NAME"),
    (["hydra.job.chdir=true"], "leave it out"),
    (["hydra.job.num=3"], "of Hydra's keys hydra/launcher and hydra.launcher.* have"),
    (["hydra.verbose=true"], "nothing is logged"),
    (["hydra/job_logging=default"], "nothing is logged"),
    (["hydra.mode=MULTIRUN"], "write -m"),
    (["++hydra.callbacks.mine._target_=a.b"], "no callback of Hydra's is called"),
    (["+hydra.launcher.n_jobs=2"], "add such as hydra/launcher=machine"),
    (["-m", "hydra/launcher=basic,joblib"], "takes one value for all cells"),
    (["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=1,2"], "takes one value for all cells"),
    (["--config-dir", "nowhere"], "--config-dir nowhere: there is no such directory"),
    (["--config-dir=."], "it has no file such as experiment/NAME.yaml"),
    (["-cd"], "expected one argument"),
    (["--config-name=mine"], "write experiment=NAME"),
    (["-cp", "conf"], "write --config-dir DIR"),
    (["--run"], "leave it out"),
    (["--resolve"], "it belongs to --cfg job"),
    (["--version"], "write `study --version`"),
    (["--info", "--package", "model"], "belong to --cfg"),
    (["activation=relu", "activation.slope=0.1"], "levels of activation that have it: leaky_relu"),
    (["init=he_normal", "init.gain=2"], "init=he_normal carries its own gain (sqrt 2)"),
    (["init.gain=auto"], "init=he_normal carries its own gain (sqrt 2): leave init.gain out"),
    (["data.crop=20000"], "data.crop=20000 is above the side of the images, 28 pixels"),
    (["schedule.warmup_epochs=9", "trainer.max_epochs=3"], "it takes at most trainer.max_epochs=3"),
    (["model.widths=[20000,20000]", "seeds=1000"], "1000 replicas at once"),
    (["-m", "init=delta_orthogonal,zeros"], "study: init=delta_orthogonal: init"),
    (["-m", "batch_size=8,9", "init=delta_orthogonal"], "study: batch_size=8: init"),
    (["optimizer=adam", "optimizer.momentum=0.9"], "optimizer=adam has no key 'momentum'"),
    (["model=autoencoder"], "set data.normalize=unit or data.normalize=binary"),
    (["model=autoencoder", "loss=squared_error", "data.flip=true"], "data.flip=true beside model="),
    (
        ["-m", "model=mlp,autoencoder"],
        "study: model=autoencoder: model=autoencoder with loss=cross",
    ),
    (["model=autoencoder", "model.code=0"], "model.code=0 is out of range"),
    (["model.code=3"], "levels of model that have it: autoencoder"),
    (["batch_size=0"], "batch_size=0 is out of range: it takes a whole number of at least 1"),
    (["init=normal", "init.std=-1"], "init.std=-1 is out of range: it takes a number of at least"),
    (["optimizer.lr=fast"], "optimizer.lr=fast is out of range: it takes a number above 0"),
    (["optimizer.lr=[]"], "optimizer.lr=[] is out of range"),
    (["seeds=[]"], "seeds=[] is out of range"),
    (["seeds=0"], "seeds=0 is out of range: it takes a count"),
    (["seeds=99999999999999999999"], "is out of range"),
    (["seeds=0,1"], "write 'seeds=[0,1]'"),
    (["-m", "seeds=0,1"], "write 'seeds=[0,1]'"),
    (["-m", "optimizer.lr=0.01,0.1"], "write 'optimizer.lr=[0.01,0.1]'"),
    (["activation=relu,tanh"], "add -m"),
    (["activation"], "write KEY=VALUE"),
    (["activation=[relu"], "write KEY=VALUE"),
    (["=3"], "write KEY=VALUE"),
    (["study=a\nb"], "cannot read"),
    (["~activation"], "never removed"),
    (["--dry"], "unrecognized arguments: --dry"),
    (["--failed", "--missing"], "not allowed with"),
    (["init=delta_orthogonal"], "use init=orthogonal"),
    (["model=cnn", "model.channels=[[4],[4],[4],[4],[4]]"], "use at most 4 inner lists"),
    (["model=cnn", "model.kernel_size=4"], "it must be odd"),
    (["optimizer.nesterov=true", "optimizer.momentum=0"], "set optimizer.momentum above 0"),
    (["trainer.devices=2"], "hydra/launcher=machine"),
    (["trainer.accelerator=tpu"], "one of auto, cpu, cuda, mps"),
    (["data.train_size=60000"], "data.train_size=60000 must be from 1 to 55000"),
    (["data.val_size=60000"], "leaves no image to train on"),
    (["data.test_size=10001"], "data.test_size=10001 must be from 1 to 10000"),
    (["study=../x"], "study=../x is out of range: it takes a plain name"),
    (["data=image_folder"], "data.root is not set"),
    (["data=image_folder", "data.root=nowhere"], "data.root=nowhere is not a directory"),
    (["-m", "activation=relu,tanh", "sweep.exclude=[{activatoin:relu}]"], "'activation'"),
    (["--cfg", "job", "activation=rleu"], "did you mean 'relu'?"),
    (["--cfg", "job", "-m", "activation=relu,tanh"], "leave out -m"),
    (["--cfg", "job", "activation=relu,tanh"], "give activation one value"),
    (["--multirun", "--info"], "leave out -m"),
    (["-c", "foo"], "invalid choice: 'foo'"),
    (["--cfg"], "expected one argument"),
    (["--info", "bogus"], "invalid choice: 'bogus'"),
    (["--cfg", "job", "--dry-run"], "unrecognized arguments: --dry-run"),
    (["--hydra-help", "--resolve"], "stands alone"),
    (["--cfg", "job", "-p", "nowhere"], "--package nowhere: the configuration has no such part"),
    (["--cfg", "job", "-p", 3000 * "["], "the configuration has no such part"),
    ([f"outputs_dir={5000 * 'x'}"], "it takes a path: its names without control"),
    (["outputs_dir='a\x1bb'"], "outputs_dir=a\\x1bb is out of range: it takes a path"),
    (["study='a\u202eb'"], "study=a\\u202eb is out of range: it takes a plain name"),
    (["study=CON"], "study=CON is out of range: it takes a plain name"),
    ([f"study={5000 * 'y'}"], "it takes a plain name"),
    (["data.root='a\x00b'"], "data.root=a\\x00b is out of range: it takes a path"),
    (["data.val_size=1" + 400 * "0"], "(too large a number): it takes a whole number"),
    (["activation=leaky_relu", "activation.slope=1e308"], "(too large a number): it takes a num"),
    (["probes.num_examples=9223372036854775808"], "is out of range (too large a number)"),
]


@pytest.mark.parametrize(("arguments", "says"), CASES, ids=[" ".join(case[0]) for case in CASES])
def test_one_line_says_what_would_be_right(
    refused: Refused, arguments: Sequence[str], says: str
) -> None:
    assert says in refused("train", *arguments)


def test_no_suggestion_is_made_twice(refused: Refused) -> None:
    hint = refused("train", "steps=5").partition("(did you mean ")[2].partition("?)")[0]
    names = hint.replace(" or ", ", ").split(", ")
    assert "probes.steps" in names
    assert len(set(names)) == len(names)


def test_a_preflight_is_handed_to_no_launcher(refused: Refused) -> None:
    line = refused("preflight", "hydra/launcher=machine")
    assert "hydra/launcher=machine: a preflight is made here" in line
    assert "write experiment=NAME" in refused("preflight", "--config-name", "mine")


def test_an_unknown_command_is_told_the_right_one(refused: Refused) -> None:
    assert "did you mean 'train'?" in refused("trian")
    assert "--nothing" in refused("list", "--nothing")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_that_is_not_there(refused: Refused) -> None:
    line = refused("train", "trainer.accelerator=cuda")
    assert "trainer.accelerator=cuda: this machine has none; it has cpu" in line


def test_an_outputs_directory_that_cannot_be_written_to(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    line = refused("train", f"outputs_dir={tmp_path / 'file'}")
    assert "choose another with outputs_dir=DIR" in line

    def denied(path: Path, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)
    assert "Permission denied" in refused("train", f"outputs_dir={tmp_path / 'new'}")


def test_a_damaged_ledger_is_left_alone(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "outputs" / "scratch").mkdir(parents=True)
    ledger = tmp_path / "outputs" / "scratch" / "study.json"
    ledger.write_text("{")
    (ledger.parent / "lock").touch()
    assert "study.json" in refused("train", "data.train_size=64")
    assert ledger.read_text() == "{"


def test_a_table_of_no_cells_or_of_no_such_factor(refused: Refused, tmp_path: Path) -> None:
    assert "does not exist" in refused("table", "nowhere")
    (tmp_path / "empty").mkdir()
    assert "study.json" in refused("table", "empty")
    write_ledger(tmp_path / "none", [])
    assert "has no cells" in refused("table", "none")
    write_ledger(tmp_path / "missing", [ledger_cell({"activation": "relu"})])
    assert "has no finished cell" in refused("table", "missing")
    make_study(tmp_path / "whole")
    line = refused("table", "whole", "--rows", "activatoin")
    assert "unknown factor 'activatoin' (did you mean 'activation'?)" in line
    assert refused("table", "whole", "--rows", "init", "--columns", "dropout")
    assert refused("table", "whole", "--rows", "init", "--metric", "test_eror")


# Image folders


def picture(path: Path, side: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(str(path))).integers(0, 256, (side, side), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    for split in ("train", "test"):
        for name in ("bird", "cat"):
            for index in range(4):
                picture(root / split / name / f"{index}.png")
    return root


def refuse_folder(refused: Refused, folder: Path) -> str:
    return refused("train", "data=image_folder", f"data.root={folder}", "data.val_size=0.5")


def test_images_of_mixed_sizes(refused: Refused, folder: Path) -> None:
    picture(folder / "train" / "cat" / "3.png", side=9)
    assert "3.png" in refuse_folder(refused, folder)


def test_an_empty_class(refused: Refused, folder: Path) -> None:
    (folder / "train" / "dog").mkdir()
    (folder / "test" / "dog").mkdir()
    assert "dog" in refuse_folder(refused, folder)


def test_a_class_missing_from_test(refused: Refused, folder: Path) -> None:
    picture(folder / "train" / "dog" / "0.png")
    assert "class 'dog' is in" in refuse_folder(refused, folder)


def test_an_unreadable_image(refused: Refused, folder: Path) -> None:
    (folder / "test" / "bird" / "2.png").write_bytes(b"\x89PNG no more than this")
    assert "2.png" in refuse_folder(refused, folder)


# Whatever is typed

names = st.sampled_from([*SWITCHES, *KEYS, "hydra.x", "hydra/x", "sweep.axes", "x", "", "a.b.c"])
prefixes = st.sampled_from(["", "", "", "+", "++", "~", "-", "--", "@", "'", '"'])
MARKS = list("=,:[]{}()'\"\\ \t\n~@$%*?!|#.-+/0123456789é\x00")
WORDS = "${ null true nan inf None ??? relu tanh mnist range( glob( choice( interval( 1e999 ../"
WORDS += " ${oc.env:HOME} slope=0.1 [[1],[2]] {a:1}"
pieces = st.sampled_from([*MARKS, *WORDS.split()])
soup = st.lists(pieces, max_size=7).map("".join)
overrides = st.builds("{}{}{}{}".format, prefixes, names, st.sampled_from(["=", "", "=="]), soup)
# What ends in one cell that cannot be trained, however harmless the rest is.
POISON = "data.train_size=60000"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    before = Path.cwd()
    path = tmp_path_factory.mktemp("empty")
    os.chdir(path)
    yield path
    os.chdir(before)


@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(overrides, min_size=1, max_size=2), st.booleans())
@example(["activation="], False)
@example(["experiment='"], False)
@example(["activation=glob("], True)
@example(["activation='relu\t slope=1'"], False)
@example(["sweep.exclude=[{activation:[]}]"], False)
@example(["claims=[{a:${nothing}}]"], False)
@example(["optimizer.lr=${oc.decode:"], False)
@example(["outputs_dir=${batch_size}"], False)
@example(["init.bias=" + "9" * 400], False)
@example(["experiment=null"], False)
@example(["seeds={0:1}"], False)
@example(["model.widths=" + "[" * 2000], False)
def test_whatever_is_typed_ends_in_one_line(
    capsys: pytest.CaptureFixture[str], empty: Path, typed: list[str], multirun: bool
) -> None:
    pages = ("-c", "-h", "-i", "--")
    arguments = [text for text in typed if not text.startswith(pages)]
    arguments = [text for text in arguments if text.lstrip("+'\"").partition("=")[0] != POISON]
    flags = ["-m"] if multirun else []
    assert main(["train", *flags, *arguments, POISON]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("study: ")
    assert err.count("\n") == 1
    assert list(empty.iterdir()) == []
