"""The probes of one plain network, as it is."""

from torch import Tensor

from study.networks import Network
from study.population.task import Task
from study.probes.capture import capture
from study.probes.measure import measure


def measured(
    network: Network, inputs: Tensor, targets: Tensor, task: Task, *, thorough: bool = False
) -> dict[str, list[float]]:
    """{probe: a number for each hidden layer} of a network on inputs [N, C, H, W].

    `targets` are what the task compares outputs with; `thorough` adds the Jacobian and the
    effective rank. What needs an earlier moment is left out. The network is left as it was.
    """
    layers = [
        measure(layer, thorough=thorough) for layer in capture(network, inputs, targets, task)
    ]
    return {name: [float(layer[name]) for layer in layers] for name in layers[0]} if layers else {}
