"""K networks trained as one."""

from study.population.engine import Engine, Evaluation, Replica, Settings, State
from study.population.module import Population
from study.population.sequential import SequentialEngine
from study.population.streams import Streams

__all__ = [
    "Engine",
    "Evaluation",
    "Population",
    "Replica",
    "SequentialEngine",
    "Settings",
    "State",
    "Streams",
]
