"""One layer of a network trained as a restricted Boltzmann machine.

"Guide" is Hinton 2010, "A practical guide to training restricted Boltzmann machines"
(UTML TR 2010-003). The defaults are those of Hinton & Salakhutdinov 2006, supporting material.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from study.errors import InputError, unknown
from study.networks import Block
from study.training.pretraining.rbm import (
    HIDDEN_UNITS,
    VISIBLE_UNITS,
    Gradient,
    Phases,
    Rbm,
    contrastive_divergence,
    persistent_contrastive_divergence,
    pseudo_likelihood,
    reconstruction_error,
)
from study.training.pretraining.trainee import (
    Epoch,
    GeneratorFactory,
    Labelled,
    epoch_batches,
    in_evaluation,
)
from study.training.settings import EVALUATION_BATCH

CONDITIONALS: dict[type[nn.Module], str] = {nn.Sigmoid: "bernoulli", nn.Identity: "linear"}
"""The activations that are the mean of a hidden unit, and of which kind."""


@dataclass(frozen=True)
class RbmSettings:
    """How a layer is trained as an RBM.

    `cd_steps`: k of CD-k and PCD-k. `persistent`: PCD, with as many chains as a batch has
    examples. `momentum` holds for the first `momentum_switch` epochs, `final_momentum` after them
    (Guide, section 9). `weight_cost`: of half the squared weights, biases free (Guide, section 10).
    """

    lr: float = 0.1
    batch_size: int = 100
    cd_steps: int = 1
    persistent: bool = False
    momentum: float = 0.5
    final_momentum: float = 0.9
    momentum_switch: int = 5
    weight_cost: float = 2e-4

    def momentum_of(self, epoch: int) -> float:
        """The momentum in `epoch`, counted from 0."""
        return self.momentum if epoch < self.momentum_switch else self.final_momentum


def hidden_units(block: Block, hidden: str = "auto", *, mean_field: bool, where: str) -> str:
    """The kind of hidden units that a block is pretrained with: `bernoulli` or `linear`.

    `auto` is the kind that the activation is the mean of, else `bernoulli`. `where` names the
    block in an error. Raises InputError for a convolution, and where the block's output is not
    the units' conditional mean (another activation, a norm) unless `mean_field` accepts that.
    """
    if hidden not in ("auto", *HIDDEN_UNITS):
        raise unknown("pretraining.hidden", hidden, ("auto", *HIDDEN_UNITS))
    if not isinstance(block.layer, nn.Linear):
        raise InputError(
            f"pretraining=rbm trains dense layers alone, and {where} is a convolution; "
            "use pretraining=autoencoder, or a model without convolutions"
        )
    natural = CONDITIONALS.get(type(block.activation))
    kind = (natural or "bernoulli") if hidden == "auto" else hidden
    if mean_field:
        return kind
    if kind != natural:
        activation = type(block.activation).__name__
        what = "probability" if kind == "bernoulli" else "mean"
        asked = "" if hidden == "auto" else f" (pretraining.hidden={hidden})"
        fitting = {units: module.__name__.lower() for module, units in CONDITIONALS.items()}
        remedy = f"activation={fitting[kind]}" if hidden == "auto" else "pretraining.hidden=auto"
        raise InputError(
            f"pretraining=rbm: {activation} of {where} is not the {what} of a {kind} hidden unit"
            f"{asked}; use {remedy}, or pretraining.mean_field=true to pretrain "
            "with such units all the same"
        )
    if not isinstance(block.norm, nn.Identity):
        raise InputError(
            f"pretraining=rbm knows no norm, and {where} has one; use norm=none, "
            "or pretraining.mean_field=true to pretrain without it"
        )
    return kind


def check_inputs(inputs: Tensor, visible: str, *, where: str) -> None:
    """Raises InputError for Bernoulli visible units fed by numbers outside [0, 1].

    NaN passes: a layer below has diverged, which is a result. `where` names the block that
    `inputs` (of any shape) feed.
    """
    if visible not in VISIBLE_UNITS:
        raise unknown("pretraining.visible", visible, VISIBLE_UNITS)
    if visible != "bernoulli":
        return
    low, high = (float(bound) for bound in inputs.aminmax())
    if low < 0 or high > 1:
        raise InputError(
            f"pretraining=rbm: the inputs of {where} are in [{low:.3g}, {high:.3g}], not in "
            "[0, 1] as bernoulli visible units need; use data.normalize=unit or binary, "
            "or pretraining.visible=gaussian"
        )


class RbmTrainee:
    """A block's dense layer as the RBM between its inputs and its units: a Trainee.

    Starts from the layer's weight and bias and from visible biases of 0, in copies; `write_back`
    puts them into the layer. Draws from the streams `order` and `gibbs` of each epoch, and for
    the monitors from `monitor` of epoch 0: the same examples and units at every epoch.
    """

    def __init__(
        self,
        block: Block,
        generator: GeneratorFactory,
        settings: RbmSettings,
        *,
        visible: str = "bernoulli",
        hidden: str = "auto",
        mean_field: bool = False,
        where: str = "the layer",
    ) -> None:
        """Raises InputError for a block that `hidden_units` refuses; `where` names it."""
        hidden = hidden_units(block, hidden, mean_field=mean_field, where=where)
        self.block, self.generator, self.settings, self.where = block, generator, settings, where
        weight, bias = block.layer.weight.detach(), block.layer.bias
        hidden_bias = weight.new_zeros(len(weight)) if bias is None else bias.detach().clone()
        visible_bias = weight.new_zeros(weight.shape[1])
        self.rbm = Rbm(weight.clone(), visible_bias, hidden_bias, visible, hidden)
        self._velocity = Gradient(*(torch.zeros_like(each) for each in self._parameters))
        self._chains: Tensor | None = None
        self.updates = 0

    @property
    def visible_bias(self) -> Tensor:
        """The learned visible biases [V]: the decoder's, once the layer is unrolled."""
        return self.rbm.visible_bias

    @property
    def _parameters(self) -> Gradient:
        return Gradient(self.rbm.weight, self.rbm.visible_bias, self.rbm.hidden_bias)

    @torch.no_grad()
    def train_epoch(self, inputs: Tensor, labels: Tensor, *, epoch: int) -> Epoch:
        """The mean squared reconstruction error of the epoch's batches, each before its update.

        inputs: [N, ...], flattened; `labels` are not used. CD's reconstruction comes from sampled
        hidden units, PCD's from their means. Raises InputError as `check_inputs` does.
        """
        check_inputs(inputs, self.rbm.visible, where=self.where)
        inputs = inputs.flatten(1)
        order, gibbs = self.generator("order", epoch), self.generator("gibbs", epoch)
        batches = epoch_batches(len(inputs), self.settings.batch_size, order, inputs.device)
        momentum = self.settings.momentum_of(epoch)
        total = torch.zeros((), dtype=torch.float64, device=inputs.device)
        for indices in batches:
            data = inputs.index_select(0, indices)
            phases = self._phases(data, gibbs)
            total += reconstruction_error(data, phases.reconstruction).mean()
            self._update(phases.gradient(), momentum)
            yield
        return float(total) / len(batches)

    def _phases(self, data: Tensor, gibbs: torch.Generator) -> Phases:
        """The positive and the negative phase of one update; PCD's chains start at the data."""
        steps = self.settings.cd_steps
        if not self.settings.persistent:
            return contrastive_divergence(self.rbm, data, steps=steps, generator=gibbs)
        if self._chains is None:
            self._chains = self.rbm.sample_hidden(data, gibbs)
        phases, self._chains = persistent_contrastive_divergence(
            self.rbm, data, self._chains, steps=steps, generator=gibbs
        )
        return phases

    def _update(self, gradient: Gradient, momentum: float) -> None:
        """A step of v <- momentum v + lr (gradient - weight_cost W), then parameters += v.

        Guide, sections 9 and 10; biases have no cost.
        """
        lr = self.settings.lr
        gradient.weight.add_(self.rbm.weight, alpha=-self.settings.weight_cost)
        for parameter, velocity, ascent in zip(
            self._parameters, self._velocity, gradient, strict=True
        ):
            parameter.add_(velocity.mul_(momentum).add_(ascent, alpha=lr))
        self.updates += 1

    @torch.no_grad()
    def measure(self, train: Labelled, val: Labelled, *, epoch: int) -> dict[str, float]:
        """The monitors, on validation and on as many training examples, the same at every epoch.

        `reconstruction_error`: squared, summed over inputs, without noise (Guide, section 5).
        `free_energy`, and `free_energy_gap`, validation minus training: its growth is overfitting
        (Guide, section 6). `pseudo_likelihood`: nats, for Bernoulli visible units.
        """
        monitor = self.generator("monitor", 0)
        inputs = train[0]
        with torch.autocast(inputs.device.type, enabled=False):
            return self._monitors(inputs, val[0], monitor)

    def _monitors(self, inputs: Tensor, val: Tensor, monitor: torch.Generator) -> dict[str, float]:
        """`measure`, in the parameters' own precision: free energies are differences."""
        if len(inputs) > len(val):
            order = torch.randperm(len(inputs), generator=monitor, device=monitor.device)
            inputs = inputs.index_select(0, order[: len(val)].to(inputs.device))
        monitors = {}
        for split, examples in (("train", inputs), ("val", val)):
            for name, mean in self._means(examples.flatten(1), monitor).items():
                monitors[f"{split}_{name}"] = mean
        gap = monitors["val_free_energy"] - monitors["train_free_energy"]
        return monitors | {"free_energy_gap": gap}

    def _means(self, inputs: Tensor, monitor: torch.Generator) -> dict[str, float]:
        """Each monitor's mean over the examples [N, V]."""
        sums: dict[str, Tensor] = {}
        for batch in inputs.split(EVALUATION_BATCH):
            values = {
                "reconstruction_error": reconstruction_error(batch, self.rbm.reconstruct(batch)),
                "free_energy": self.rbm.free_energy(batch),
            }
            if self.rbm.visible == "bernoulli":
                values["pseudo_likelihood"] = pseudo_likelihood(self.rbm, batch, monitor)
            for name, value in values.items():
                sums[name] = value.double().sum() + sums.get(name, 0.0)
        return {name: float(value) / len(inputs) for name, value in sums.items()}

    @torch.no_grad()
    def hidden(self, inputs: Tensor) -> Tensor:
        """What the next layer is fed: the whole block's outputs in evaluation mode, clean.

        With the learned weights, written back or not: [N, ...] -> [N, H].
        """
        learned = self._of_layer()

        def outputs(batch: Tensor) -> Tensor:
            return torch.func.functional_call(self.block, learned, (batch,))

        return in_evaluation(self.block, inputs, outputs)

    @torch.no_grad()
    def write_back(self) -> None:
        """Copies weight and hidden biases into the block's layer.

        A layer without bias (a norm subtracts it) keeps none.
        """
        for name, value in self._of_layer().items():
            self.block.get_parameter(name).copy_(value)

    def _of_layer(self) -> dict[str, Tensor]:
        """The learned parameters under the block's names for them."""
        learned = {"layer.weight": self.rbm.weight}
        if self.block.layer.bias is not None:
            learned["layer.bias"] = self.rbm.hidden_bias
        return learned

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of the parameters, their velocities, PCD's chains and the update count."""
        state = dict(self._named())
        if self._chains is not None:
            state["chains"] = self._chains
        state["updates"] = torch.tensor(self.updates)
        return {name: value.clone() for name, value in state.items()}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Takes up a state of an equal trainee."""
        for name, value in self._named().items():
            value.copy_(state[name])
        chains = state.get("chains")
        self._chains = None if chains is None else chains.to(self.rbm.weight, copy=True)
        self.updates = int(state["updates"])

    def _named(self) -> dict[str, Tensor]:
        """Parameters and velocities by name."""
        parameters, velocities = self._parameters._asdict(), self._velocity._asdict()
        return parameters | {f"velocity.{name}": value for name, value in velocities.items()}
