"""K networks trained as one."""

from study.population.alone import Alone
from study.population.engine import Engine
from study.population.group import Evaluation, Group, State
from study.population.module import Population
from study.population.settings import Replica, Settings
from study.population.stack import Stack
from study.population.streams import Streams

__all__ = [
    "Alone",
    "Engine",
    "Evaluation",
    "Group",
    "Population",
    "Replica",
    "Settings",
    "Stack",
    "State",
    "Streams",
]
