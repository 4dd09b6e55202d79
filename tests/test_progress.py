"""What a sweep prints while it runs."""

import pytest

from study.progress import packing_words


def provenance(packing: list[int], threads: int = 2) -> dict[str, object]:
    engine = "stacked" if max(packing) > 1 else "sequential"
    return {"packing": packing, "threads": threads, "engine": engine}


@pytest.mark.parametrize(
    ("packing", "words"),
    [
        ([6, 6], "engine stacked (population.engine=auto): 2 stacks of 6 replicas, on 2 threads"),
        ([1, 1, 1], "engine sequential (population.engine=auto): 3 alone, on 2 threads"),
        ([2, 3, 1], "1 stack of 3 replicas and 1 stack of 2 replicas and 1 alone, on 2 threads"),
    ],
)
def test_the_packing_is_said_in_words(packing: list[int], words: str) -> None:
    assert words in packing_words("auto", provenance(packing))
