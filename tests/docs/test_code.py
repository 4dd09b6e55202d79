"""The exercises: what their code prints is what the pages say, and it shows what they claim."""

import re
from pathlib import Path

import pytest

from docs.__main__ import main
from docs.code import blocks, commands, refreshed, workplace
from study.config.level_source import OWN

ROOT = Path(__file__).parents[2]
PAGES = sorted(ROOT.glob("docs/exercises/*.md"))
MAX_LINES = 150


def printed(page: str) -> str:
    """What the code of an exercise prints, as its page quotes it."""
    text = (ROOT / f"docs/exercises/{page}.md").read_text(encoding="utf-8")
    return "\n".join(block.quoted for block in blocks(text) if block.quoted)


def numbers(line: str) -> list[float]:
    """The numbers of a line, in order."""
    return [float(found) for found in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", line)]


def line_of(page: str, begin: str) -> list[float]:
    """The numbers in the line that starts so, behind its start."""
    (line,) = [line for line in printed(page).splitlines() if line.startswith(begin)]
    return numbers(line.removeprefix(begin))


@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_an_exercise_quotes_what_its_code_prints(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    with workplace():
        assert refreshed(text) == text, "stale: run `make published`"
    assert any(block.quoted for block in blocks(text))
    assert len(text.splitlines()) <= MAX_LINES
    assert text.startswith("# Exercise: ")
    assert "**Asked.**" in text
    for title in ("## Derivation", "## Check"):
        assert title in text


def test_noisy_training_and_weight_decay_end_at_ridge() -> None:
    for case in ("noisy inputs", "weight decay 2 sigma^2"):
        assert max(line_of("input_noise", case)) < 5
    assert min(line_of("input_noise", "neither")) > 100


def test_noise_adds_the_jacobian_and_no_squared_weights() -> None:
    (added,) = line_of("input_noise", "noise adds, over sigma^2:")
    assert added == pytest.approx(
        sum(line_of("input_noise", "predicted, Jacobian + Laplacian:")), abs=0.05
    )
    before, after = (line_of("input_noise", when) for when in ("before:", "after:"))
    assert before[0] == after[0]
    assert after[1] > 3 * before[1]


def test_batchnorm_undone_is_the_identity_but_for_eps() -> None:
    page = printed("batchnorm_identity")
    assert page.count("is the identity\n") == 2
    for ratio in ("100000", "100", "1", "0.01"):
        (row,) = re.findall(rf"^ *{re.escape(ratio)} {{2,}}(.*)$", page, re.MULTILINE)
        measured, predicted = numbers(row)
        assert measured == pytest.approx(predicted, abs=2e-6)
    assert "identity, True" in page


def test_batchnorms_gradients_are_autograds() -> None:
    page = printed("batchnorm_gradients")
    assert page.count("True") == 4
    assert "False" not in page


def test_every_gain_is_its_integral() -> None:
    page = printed("he_initialization")
    assert page.count("the same") >= len(OWN["activation.name"])
    assert "DIFFERENT" not in page
    assert line_of("he_initialization", "he_normal, relu") == pytest.approx([0, 0], abs=3)
    assert line_of("he_initialization", "xavier_normal, relu") == pytest.approx([-29, -29], abs=3)
    forward, backward = line_of("he_initialization", "lecun_normal, tanh")
    assert abs(forward) < 3 < backward


def test_noise_reaches_the_next_layer_as_predicted() -> None:
    ratio, spread = line_of("noise_behind_a_layer", "measured / predicted, 64 units of layer 1:")
    assert ratio == pytest.approx(1, abs=3 * spread)
    ratios = [line_of("noise_behind_a_layer", f"noise times {s:4}:")[-1] for s in (1.0, 0.1, 0.03)]
    assert ratios[0] < 0.9
    assert ratios[1:] == pytest.approx([1, 1], abs=0.02)


PAGE = """A page.

```bash
study list   # every key
echo no command of ours
```

```python
x = 1
print("old")
```

```text
older
```

```python
print(x + 1)
```

```yaml
x: 1
```
"""


def test_a_page_is_one_program_and_only_quoted_outputs_change() -> None:
    run: list[list[str]] = []
    fresh = refreshed(PAGE, command=run.append)
    assert fresh == PAGE.replace("older", "old")
    assert refreshed(fresh, command=run.append) == fresh
    assert run == [["list"], ["list"]]


def test_a_command_goes_on_after_a_backslash() -> None:
    text = "```bash\nstudy train -m \\\n    activation=relu,tanh 'optimizer.lr=[0.1]'\n```\n"
    (block,) = blocks(text)
    assert commands(block) == [["train", "-m", "activation=relu,tanh", "optimizer.lr=[0.1]"]]


def test_an_error_names_the_line_of_the_page() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        refreshed("# Page\n\n```python\nx = 1\nx / 0\n```\n")
    assert caught.traceback[-1].lineno + 1 == 5


def test_the_command_writes_what_the_code_of_a_page_prints(tmp_path: Path) -> None:
    page = tmp_path / "docs/exercises/page.md"
    page.parent.mkdir(parents=True)
    page.write_text('```python\nprint("new")\n```\n\n```text\nold\n```\n', encoding="utf-8")
    assert main([str(page), "--check"]) == 0, "which runs nothing"
    assert main([str(page)]) == 0
    assert "```text\nnew\n```" in page.read_text(encoding="utf-8")
    other = tmp_path / "page.md"
    page.rename(other)
    other.write_text(text := other.read_text("utf-8").replace("new\n```", "old\n```"), "utf-8")
    assert main([str(other)]) == 0
    assert other.read_text(encoding="utf-8") == text, "the code of other pages is not run"
