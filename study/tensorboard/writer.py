"""Writes a run's events, many values to an event: a tenth of the time of an `add_scalar` each."""

import math
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from tensorboard.compat.proto.histogram_pb2 import HistogramProto
from tensorboard.compat.proto.summary_pb2 import (
    DATA_CLASS_SCALAR,
    DATA_CLASS_TENSOR,
    Summary,
    SummaryMetadata,
)
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.plugins.custom_scalar.metadata import CONFIG_SUMMARY_TAG
from tensorboard.summary.writer.event_file_writer import _AsyncWriterThread
from torch.utils.tensorboard import SummaryWriter

from study.locks import still_ours

_print_exception = threading.excepthook


def _print_if_unknown(raised: threading.ExceptHookArgs) -> None:
    """Leaves out what ends TensorBoard's thread: whoever writes next is told, and says it once."""
    if not isinstance(raised.thread, _AsyncWriterThread):
        _print_exception(raised)


threading.excepthook = _print_if_unknown

Bins = tuple[Sequence[float], Sequence[float]]


class CellWriter(SummaryWriter):
    """A `SummaryWriter` that says of each tag, once, what it shows.

    Descriptions are Markdown; TensorBoard shows them beside a chart's title. `written` holds the
    tags of the scalars so far.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(str(directory))
        self.directory = directory
        self.written: set[str] = set()

    def scalars(
        self, step: int, values: Mapping[str, float], about: Mapping[str, str] | None = None
    ) -> None:
        """The values of many tags at one step, without those that are not finite."""
        about = about or {}
        finite = {tag: value for tag, value in values.items() if math.isfinite(value)}
        entries = []
        for tag, value in finite.items():
            text = about.get(tag) if tag not in self.written else None
            metadata = _metadata("scalars", text, DATA_CLASS_SCALAR) if text else None
            entries.append(Summary.Value(tag=tag, simple_value=value, metadata=metadata))
        self.written |= finite.keys()
        self.write(step, entries)

    def image(self, tag: str, file: bytes, shape: tuple[int, int, int], about: str) -> None:
        """A PNG or JPEG file of [channels, height, width]."""
        channels, height, width = shape
        image = Summary.Image(
            height=height, width=width, colorspace=channels, encoded_image_string=file
        )
        self.write(0, [Summary.Value(tag=tag, image=image, metadata=_metadata("images", about))])

    def histograms(self, step: int, bins: Mapping[str, Bins], about: str) -> None:
        """Of each tag the edges of the bins, [n + 1], and how many values each holds, [n]."""
        entries = []
        for tag, (edges, counts) in bins.items():
            histogram = HistogramProto(
                min=edges[0],
                max=edges[-1],
                num=sum(counts),
                bucket_limit=edges[1:],
                bucket=counts,
            )
            metadata = _metadata("histograms", about)
            entries.append(Summary.Value(tag=tag, histo=histogram, metadata=metadata))
        self.write(step, entries)

    def texts(self, texts: Mapping[str, str]) -> None:
        """Markdown of each tag."""
        self.write(0, [_bytes_entry("text", tag, text.encode()) for tag, text in texts.items()])

    def layout(self, layout: bytes) -> None:
        """The layout of the page `Custom Scalars`."""
        self.write(0, [_bytes_entry("custom_scalars", CONFIG_SUMMARY_TAG, layout)])

    def write(self, step: int, entries: Sequence[Summary.Value]) -> None:
        """One event; `Lost` where the directory is no longer this process's."""
        events = self.file_writer
        assert events is not None, "the writer is open"
        if entries:
            still_ours(self.directory)
            events.add_summary(Summary(value=entries), step)


def _bytes_entry(plugin: str, tag: str, content: bytes) -> Summary.Value:
    tensor = TensorProto(dtype="DT_STRING", string_val=[content])
    metadata = _metadata(plugin, None, DATA_CLASS_TENSOR)
    return Summary.Value(tag=tag, tensor=tensor, metadata=metadata)


def _metadata(plugin: str, about: str | None, data_class: int = 0) -> SummaryMetadata:
    return SummaryMetadata(
        plugin_data=SummaryMetadata.PluginData(plugin_name=plugin),
        summary_description=about or "",
        data_class=data_class,
    )


def open_writer(directory: Path) -> CellWriter:
    """A writer of one run: the cell's own directory, or `Lost` if it is so no longer."""
    still_ours(directory)
    return CellWriter(directory)
