"""Real MNIST: what is known of it comes out.

The setting of the first test was chosen by validation error; it takes most of the file's time.
"""

import pytest

from study.data import Split
from study.data.module import data_of
from study.training import Evaluation, Population
from tests import tiny

COMMON = ("trainer.accelerator=cpu", "trainer.precision=32-true", "batch_size=128")


def trained(*overrides: str) -> Population:
    config = tiny.config(*COMMON, *overrides)
    return tiny.train(config, data_of(config))


def test_an_mlp_reaches_two_percent() -> None:
    population = trained(
        "model.widths=[256,256]", "seeds=2", "optimizer.lr=0.1", "optimizer.weight_decay=0.0005",
        "schedule=cosine", "trainer.max_epochs=5",
    )  # fmt: skip
    errors = population.evaluations["best"]["test"].error
    print("MLP 784-256-256-10:", errors.tolist(), "mean", float(errors.mean()))
    assert float(errors.mean()) <= 0.020


def test_logistic_regression_lands_where_it_is_known_to() -> None:
    population = trained(
        "model.widths=[]", "seeds=2", "optimizer.lr=0.02", "schedule=cosine",
        "trainer.max_epochs=5", "init=xavier_uniform",
    )  # fmt: skip
    errors = population.evaluations["best"]["test"].error
    print("logistic regression:", errors.tolist())
    assert all(0.070 <= error <= 0.085 for error in errors.tolist())


def test_relu_units_that_start_at_zero_never_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each epoch predicts a single class, and every hidden unit stays what every other is."""
    config = tiny.config(
        *COMMON, "init=zeros", "model.widths=[64,64]", "optimizer.lr=0.1", "trainer.max_epochs=3"
    )
    population = tiny.build(config, data := data_of(config))
    evaluate, results = population.engine.evaluate, []

    def spy(split: Split) -> Evaluation:
        results.append(evaluate(data.test))
        return evaluate(split)

    monkeypatch.setattr(population.engine, "evaluate", spy)
    tiny.fit(population, config)
    print("relu from zeros:", [float(result.error[0]) for result in results])
    assert len(results) == 1 + 3
    for result in results:
        assert len(result.predictions[0].unique()) == 1
        assert 0.8865 <= float(result.error[0]) <= 0.9108
    state = population.last_state(0)
    for layer in ("blocks.0.layer", "blocks.1.layer"):
        assert len(state[f"{layer}.weight"].unique(dim=0)) == 1
        assert len(state[f"{layer}.bias"].unique()) == 1
    assert len(state["output.weight"].unique(dim=1).T) == 1
