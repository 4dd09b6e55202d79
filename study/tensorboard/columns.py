"""The page `HParams`: a cell is one session, its factors are columns, its final numbers metrics."""

import json
import math
from collections.abc import Collection, Mapping, Sequence

from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

from study.config.configuration import notable
from study.config.labels import level_words
from study.networks.registry import Value


def session(
    factors: Mapping[str, Value],
    study: Sequence[Mapping[str, Value]],
    metrics: Sequence[str],
    varying: Collection[str] = (),
) -> list[Summary.Value]:
    """What makes a run a session, once, with its columns.

    TensorBoard takes the columns from any one cell and shows the first five that vary: every cell
    names all factors, and which of them vary in `study`, the factors of its cells; those in
    `varying` do so anyway. `metrics` are tags of scalars, the first five of which are shown.
    """
    every = [*study, factors]
    kinds = {name: column_type([cell[name] for cell in every if name in cell]) for name in factors}
    if len(study) < 2:  # Without other cells, which are to be named.
        differing = {*varying, *notable(factors)}
    else:
        levels = {name: {json.dumps(cell.get(name)) for cell in study} for name in factors}
        differing = {*varying, *(name for name in factors if len(levels[name]) > 1)}
    infos = [
        api_pb2.HParamInfo(name=name, type=kind, differs=name in differing)
        for name, kind in kinds.items()
    ]
    experiment = api_pb2.Experiment(
        hparam_infos=infos,
        metric_infos=[
            api_pb2.MetricInfo(
                name=api_pb2.MetricName(tag=tag),
                display_name=tag.rpartition("/")[2].replace("_", " "),
            )
            for tag in metrics
        ],
    )
    start = plugin_data_pb2.SessionStartInfo()
    for name, kind in kinds.items():
        value, place = typed(level_words(name, factors[name])), start.hparams[name]
        if kind == api_pb2.DATA_TYPE_BOOL:
            place.bool_value = value
        elif kind == api_pb2.DATA_TYPE_FLOAT64 and math.isfinite(float(value)):
            place.number_value = value
        else:
            place.string_value = str(value)
    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS)
    contents = {
        metadata.EXPERIMENT_TAG: {"experiment": experiment},
        metadata.SESSION_START_INFO_TAG: {"session_start_info": start},
        metadata.SESSION_END_INFO_TAG: {"session_end_info": end},
    }
    entries = []
    for tag, content in contents.items():
        held = plugin_data_pb2.HParamsPluginData(version=metadata.PLUGIN_DATA_VERSION, **content)
        plugin = SummaryMetadata.PluginData(
            plugin_name=metadata.PLUGIN_NAME, content=held.SerializeToString(deterministic=True)
        )
        about, tensor = SummaryMetadata(plugin_data=plugin), metadata.NULL_TENSOR
        entries.append(Summary.Value(tag=tag, metadata=about, tensor=tensor))
    return entries


def typed(level: Value) -> float | bool | str:
    """A level as TensorBoard sorts and filters it: numbers and booleans are not texts."""
    if isinstance(level, bool | int | float):
        return level
    if level in ("true", "false"):
        return bool(json.loads(level))
    return str(level)


def column_type(levels: Sequence[Value]) -> int:
    """One type for all levels of a factor: text where they are not of one."""
    values = [typed(level) for level in levels]
    if all(isinstance(value, bool) for value in values):
        return int(api_pb2.DATA_TYPE_BOOL)
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return int(api_pb2.DATA_TYPE_FLOAT64)
    return int(api_pb2.DATA_TYPE_STRING)
