"""K networks trained as one."""

from study.training.alone import Alone
from study.training.engine import Engine
from study.training.group import Evaluation, Group, State
from study.training.population import Population
from study.training.settings import Replica, Settings
from study.training.stack import Stack

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
]
