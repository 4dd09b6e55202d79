"""Probes as metrics: the name, moment and layers asked for, and what they mean in words."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from study.errors import InputError, unknown
from study.probes.names import PROBES
from study.report.metrics import METRICS, Metric

SUMMARIES = {
    "min": "minimum over layers",
    "mean": "mean over layers",
    "max": "maximum over layers",
    "last": "last layer",
    "slope": "slope over depth",
}
"""What `--layer` takes beside a number, in words."""
_MOMENTS = {"start": "at initialization", "end": "at the end"}
_SLOPE_HELP = (
    "; of its log10 the least-squares slope over depth, over the layers where it is positive and "
    "finite"
)


@dataclass(frozen=True)
class ProbeMetric(Metric):
    """A probe at one moment, of one layer or summed up over layers.

    `moment`: start, end or a number of updates. `layer`: a number from 1, or one of SUMMARIES;
    None: layer is a factor, as seed is, and each replica has a number for each layer.
    """

    probe: str = ""
    moment: str = "end"
    layer: str | None = "mean"

    @property
    def follows_training(self) -> bool:
        return self.moment != "start"

    def is_measured(self, replica: Mapping[str, Any]) -> bool:
        return self.name in replica


def find_metric(name: str, *, layer: str | None = None, by_layer: bool = False) -> Metric:
    """The metric or probe that a command line asks for; `by_layer`: layer is one of its factors.

    A probe's name may end in @start, @end (the default) or @STEP, a number of updates. InputError
    where there is no such metric, moment or layer, or where the metric has none.
    """
    base, at, moment = name.partition("@")
    if base in PROBES:
        if layer and by_layer:
            raise InputError(f"--layer {layer}: layer is a factor of this table already; drop one")
        return _probe_metric(base, _moment(name, moment if at else "end"), _layer(layer, by_layer))
    if base not in METRICS:
        raise _unknown_metric(base)
    if at:
        raise InputError(f"{name}: {base} has no moments, as probes have; leave @{moment} out")
    if layer or by_layer:
        raise InputError(f"{name} has no layers; choose a probe, as dead_fraction@end")
    return METRICS[name]


def _probe_metric(name: str, moment: str, layer: str | None) -> ProbeMetric:
    probe = PROBES[name]
    slope = layer == "slope"
    share = probe.unit == "%" and not slope
    words = "" if layer is None else f", {SUMMARIES.get(layer, f'layer {layer}')}"
    return ProbeMetric(
        name=f"{name}@{moment}",
        label=f"{probe.label} {_moment_words(moment)}{words}",
        unit="decades a layer" if slope else probe.unit,
        direction="none",
        help=probe.help + (_SLOPE_HELP if slope else ""),
        decimals=2 if share else None,
        scale=100.0 if share else 1.0,
        digits=3,
        fixed={} if layer is None else {"layer": layer},
        lacking=probe.lacking,
        probe=name,
        moment=moment,
        layer=layer,
    )


def _moment(name: str, moment: str) -> str:
    """The moment, a step without leading zeros; that of step 0 is the start."""
    if moment in _MOMENTS:
        return moment
    if not (moment.isascii() and moment.isdecimal()):
        raise InputError(
            f"{name}: write its moment as @start, @end or @STEP, a number of updates, "
            f"as {name.partition('@')[0]}@end"
        )
    return str(int(moment)) if int(moment) else "start"


def _moment_words(moment: str) -> str:
    updates = "update" if moment == "1" else "updates"
    return _MOMENTS.get(moment, f"after {moment} {updates}")


def _layer(layer: str | None, by_layer: bool) -> str | None:
    if by_layer:
        return None
    if layer is None or layer in SUMMARIES:
        return layer or "mean"
    if layer.isascii() and layer.isdecimal() and int(layer):
        return str(int(layer))
    raise unknown("layer", layer, ["a number from 1", *SUMMARIES])


def _unknown_metric(name: str) -> InputError:
    """Lists the metrics, then the probes nearest to the name: all of them make no readable line."""
    error = str(unknown("metric", name, [*METRICS, *PROBES])).partition("; choose from")[0]
    near = difflib.get_close_matches(name, PROBES, n=3, cutoff=0.0)
    return InputError(
        f"{error}; choose from: {', '.join(METRICS)}; or one of {len(PROBES)} probes, as "
        f"{', '.join(near)} (study table --help lists all)"
    )
