"""What a file of levels of one's own imports: the decorators, and what keys are made of.

    from study.levels import activation, key, number

    @activation(key("beta", number(0), "steepness"))
    def my_swish(*, beta: float = 1.0): ...

docs/levels.md has an example of each. `study levels new DIR` writes a folder to start from.
"""

from study.config.kinds import *  # noqa: F403
from study.config.own import decorator
from study.config.own import key as key

activation = decorator("activation")
initialization = decorator("initialization")
norm = decorator("norm")
model = decorator("model")
optimizer = decorator("optimizer")
schedule = decorator("schedule")
dataset = decorator("dataset")
augmentation = decorator("augmentation")
probe = decorator("probe")
callback = decorator("callback")
