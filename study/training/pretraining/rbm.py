"""Restricted Boltzmann machines: energies, conditionals, Gibbs chains and their statistics.

"Guide" is Hinton 2010, "A practical guide to training restricted Boltzmann machines"
(UTML TR 2010-003). Every machine here is an exponential family harmonium (Welling et al. 2005).

Shapes: visible states v [N, V], hidden states h [N, H], weight W [H, V] as in nn.Linear, visible
bias a [V], hidden bias b [H]. Random numbers are drawn in float32 on the generator's device and
moved then, so neither precision nor device of the machine changes which ones are drawn.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from study.errors import InputError, unknown


class Units(Protocol):
    """One kind of unit; all it needs to know is its bias and its total input x [N, units]."""

    def mean(self, x: Tensor) -> Tensor:
        """The conditional expectation: [N, units]."""

    def sample(self, mean: Tensor, generator: torch.Generator) -> Tensor:
        """States drawn from the conditional of this mean: [N, units]."""

    def energy(self, states: Tensor, bias: Tensor) -> Tensor:
        """The energy without the weights' part: [N]."""

    def log_normalizer(self, x: Tensor, bias: Tensor) -> Tensor:
        """The log of a unit's sum (integral) over states s of exp((x - bias) s - energy(s)).

        [N, units] -> [N, units].
        """


class Bernoulli:
    """Units in {0, 1}: p(s = 1) = sigmoid(x), energy -bias s (Guide, equations 1, 7 and 8).

    Data and reconstructions may be probabilities in [0, 1] (Guide, section 3.4).
    """

    def mean(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)

    def sample(self, mean: Tensor, generator: torch.Generator) -> Tensor:
        draws = torch.rand(
            mean.shape, generator=generator, device=generator.device, dtype=torch.float32
        )
        return (draws.to(mean) < mean).to(mean)

    def energy(self, states: Tensor, bias: Tensor) -> Tensor:
        return -(states @ bias)

    def log_normalizer(self, x: Tensor, bias: Tensor) -> Tensor:
        return functional.softplus(x)


class Gaussian:
    """Linear units with noise of variance 1: s ~ N(x, 1), energy (s - bias)^2 / 2.

    Guide, sections 13.2 and 13.3; as hidden units Hinton & Salakhutdinov 2006, the code layer.
    """

    def mean(self, x: Tensor) -> Tensor:
        return x

    def sample(self, mean: Tensor, generator: torch.Generator) -> Tensor:
        draws = torch.randn(
            mean.shape, generator=generator, device=generator.device, dtype=torch.float32
        )
        return mean + draws.to(mean)

    def energy(self, states: Tensor, bias: Tensor) -> Tensor:
        return (states - bias).square().sum(1) / 2

    def log_normalizer(self, x: Tensor, bias: Tensor) -> Tensor:
        return (x.square() - bias.square() + math.log(2 * math.pi)) / 2


VISIBLE_UNITS: dict[str, Units] = {"bernoulli": Bernoulli(), "gaussian": Gaussian()}
HIDDEN_UNITS: dict[str, Units] = {"bernoulli": Bernoulli(), "linear": Gaussian()}


@dataclass(frozen=True)
class Rbm:
    """A restricted Boltzmann machine: p(v, h) proportional to exp(-E(v, h)).

    E(v, h) = visible part + hidden part - h^T W v (Guide, equation 1; section 13 for Gaussian
    units). With both kinds Gaussian it has a density only while no singular value of W reaches 1.
    Raises InputError for an unknown kind of units.
    """

    weight: Tensor
    visible_bias: Tensor
    hidden_bias: Tensor
    visible: str = "bernoulli"
    hidden: str = "bernoulli"

    def __post_init__(self) -> None:
        for what, units in (("visible", VISIBLE_UNITS), ("hidden", HIDDEN_UNITS)):
            if (kind := getattr(self, what)) not in units:
                raise unknown(f"{what} units", kind, units)

    @property
    def visible_units(self) -> Units:
        return VISIBLE_UNITS[self.visible]

    @property
    def hidden_units(self) -> Units:
        return HIDDEN_UNITS[self.hidden]

    def energy(self, visible: Tensor, hidden: Tensor) -> Tensor:
        """E(v, h) of each pair of states: [N, V], [N, H] -> [N]."""
        weights_part = (functional.linear(visible, self.weight) * hidden).sum(1)
        own = self.visible_units.energy(visible, self.visible_bias)
        return own + self.hidden_units.energy(hidden, self.hidden_bias) - weights_part

    def hidden_input(self, visible: Tensor) -> Tensor:
        """W v + b: [N, V] -> [N, H]."""
        return functional.linear(visible, self.weight, self.hidden_bias)

    def hidden_mean(self, visible: Tensor) -> Tensor:
        """E[h | v]: [N, V] -> [N, H]."""
        return self.hidden_units.mean(self.hidden_input(visible))

    def visible_mean(self, hidden: Tensor) -> Tensor:
        """E[v | h]: [N, H] -> [N, V]."""
        return self.visible_units.mean(torch.addmm(self.visible_bias, hidden, self.weight))

    def sample_hidden(self, visible: Tensor, generator: torch.Generator) -> Tensor:
        """Draws h given v: [N, V] -> [N, H]."""
        return self.hidden_units.sample(self.hidden_mean(visible), generator)

    def sample_visible(self, hidden: Tensor, generator: torch.Generator) -> Tensor:
        """Draws v given h: [N, H] -> [N, V]."""
        return self.visible_units.sample(self.visible_mean(hidden), generator)

    def reconstruct(self, visible: Tensor) -> Tensor:
        """E[v | h = E[h | v]]: what the machine gives back, unrolled into an autoencoder.

        [N, V] -> [N, V]; no noise (Hinton & Salakhutdinov 2006, the unrolled network).
        """
        return self.visible_mean(self.hidden_mean(visible))

    def free_energy(self, visible: Tensor) -> Tensor:
        """F(v) = -log of the sum (integral) over h of exp(-E(v, h)): [N, V] -> [N].

        Guide, section 16.1. Constants are kept, so p(v) = exp(-F(v)) / Z for all kinds of units.
        """
        own = self.visible_units.energy(visible, self.visible_bias)
        x = self.hidden_input(visible)
        return own - self.hidden_units.log_normalizer(x, self.hidden_bias).sum(1)


class Statistics(NamedTuple):
    """The states whose products one phase averages: v [N, V] and E[h | v] [N, H]."""

    visible: Tensor
    hidden: Tensor


class Gradient(NamedTuple):
    """An ascent direction of the mean log-likelihood, in the shapes of the parameters."""

    weight: Tensor
    visible_bias: Tensor
    hidden_bias: Tensor


class Phases(NamedTuple):
    """What an update is made of.

    `reconstruction` [N, V]: the means of the visible units that were first given back for the data.
    """

    positive: Statistics
    negative: Statistics
    reconstruction: Tensor

    def gradient(self) -> Gradient:
        """<h v^T>, <v> and <h>, each on the data minus in the chains (Guide, equation 9).

        The same for all kinds of units: the biases of Gaussian ones cancel.
        """
        (v, h), (chain_v, chain_h) = self.positive, self.negative
        negative = chain_h.T @ chain_v
        return Gradient(
            torch.addmm(negative, h.T, v, beta=-1 / len(chain_v), alpha=1 / len(v)),
            v.mean(0) - chain_v.mean(0),
            h.mean(0) - chain_h.mean(0),
        )


def statistics(rbm: Rbm, visible: Tensor) -> Statistics:
    """Of visible states [N, V], with means rather than samples of h (Guide, section 3.3)."""
    return Statistics(visible, rbm.hidden_mean(visible))


def gibbs_chain(
    rbm: Rbm, hidden: Tensor, *, steps: int, generator: torch.Generator, sample_visible: bool
) -> tuple[Statistics, Tensor]:
    """`steps` times h -> v -> h, from hidden states [N, H]; its end, and its first E[v | h].

    The hidden states between two steps are samples: else they would carry more than a bit each;
    the last are means, whose sampling would only add noise (Guide, section 3.1). The visible
    ones are samples, or means as in Guide, section 3.2 (see `contrastive_divergence`).
    """
    assert steps > 0

    def answered(means: Tensor) -> Statistics:
        sampled = rbm.visible_units.sample(means, generator) if sample_visible else means
        return statistics(rbm, sampled)

    first = rbm.visible_mean(hidden)
    end = answered(first)
    for _ in range(steps - 1):
        hidden = rbm.hidden_units.sample(end.hidden, generator)
        end = answered(rbm.visible_mean(hidden))
    return end, first


def contrastive_divergence(
    rbm: Rbm, data: Tensor, *, steps: int, generator: torch.Generator, sample_visible: bool = False
) -> Phases:
    """CD-k: chains of k = `steps` from samples of h given the data [N, V].

    With `sample_visible` all but the last hidden states are sampled, and the gradient's mean is
    exactly the k-step <h v>_0 - <h v>_k of Hinton 2002, "Training products of experts by
    minimizing contrastive divergence": given the last v, E[h | v] v^T is the mean of h v^T.
    Without, every v of the chain is its mean, as in Guide, section 3.4, and Hinton & Salakhutdinov
    2006: less noise, but the expectation is that of another chain.
    """
    positive = statistics(rbm, data)
    hidden = rbm.hidden_units.sample(positive.hidden, generator)
    negative, reconstruction = gibbs_chain(
        rbm, hidden, steps=steps, generator=generator, sample_visible=sample_visible
    )
    return Phases(positive, negative, reconstruction)


def persistent_contrastive_divergence(
    rbm: Rbm, data: Tensor, chains: Tensor, *, steps: int, generator: torch.Generator
) -> tuple[Phases, Tensor]:
    """PCD-k: `steps` more steps of chains that are never restarted.

    Tieleman 2008, "Training restricted Boltzmann machines using approximations to the likelihood
    gradient".

    `chains` [M, H] are the hidden states where the chains stood, returned with where they stand
    now. All is sampled, for a chain of means has another stationary distribution; E[h | v] only
    enters the statistics. The reconstruction is `Rbm.reconstruct`, for no chain starts at the data.
    """
    negative, _ = gibbs_chain(rbm, chains, steps=steps, generator=generator, sample_visible=True)
    positive = statistics(rbm, data)
    phases = Phases(positive, negative, rbm.visible_mean(positive.hidden))
    return phases, rbm.hidden_units.sample(negative.hidden, generator)


def reconstruction_error(data: Tensor, reconstruction: Tensor) -> Tensor:
    """Squared error summed over visible units: [N, V], [N, V] -> [N] (Guide, section 5)."""
    return (data - reconstruction).square().sum(1)


def pseudo_likelihood(rbm: Rbm, data: Tensor, generator: torch.Generator) -> Tensor:
    """An unbiased estimate of the pseudo-likelihood, in nats: [N, V] -> [N].

    That is the sum over i of log p(v_i | the other visible units) (Besag 1975, "Statistical
    analysis of non-lattice data"), and this V log p(v_i | the rest) for one unit i of each example,
    drawn uniformly: log sigmoid(F(v, v_i flipped) - F(v)). Data are rounded to {0, 1} first. Raises
    InputError where visible units are not Bernoulli.
    """
    if rbm.visible != "bernoulli":
        raise InputError(f"pseudo-likelihood needs bernoulli visible units, not {rbm.visible}")
    num_examples, num_visible = data.shape
    units = torch.randint(
        num_visible, (num_examples,), generator=generator, device=generator.device
    ).to(data.device)
    visible = (data > 0.5).to(data)
    change = 1 - 2 * visible.gather(1, units.unsqueeze(1))
    x = rbm.hidden_input(visible)
    flipped = x + change * rbm.weight.T.index_select(0, units)
    log_normalizer, bias = rbm.hidden_units.log_normalizer, rbm.hidden_bias
    hidden_part = (log_normalizer(flipped, bias) - log_normalizer(x, bias)).sum(1)
    visible_part = change.squeeze(1) * rbm.visible_bias.index_select(0, units)
    return num_visible * functional.logsigmoid(-visible_part - hidden_part)
