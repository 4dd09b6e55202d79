"""The pretrained weights behind a saved cell, where they are still kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from study.files import parse_json
from study.launch.reproduce.comparable import Difference, comparable_pretraining, differences
from study.launch.reproduce.saved import Saved


def cache_of(saved: Saved, study: Path) -> Path | None:
    """Where a study keeps the weights that a cell starts from; None if it is not pretrained."""
    from study.training.pretraining.cache import cache_directory, pretraining_signature
    from study.training.pretraining.stage import is_pretrained

    if not is_pretrained(saved.config):
        return None
    digest = pretraining_signature(saved.config, saved.provenance.data_fingerprint)
    return cache_directory(study, saved.config.pretraining.name, digest)


def header_of(path: Path) -> dict[str, str]:
    """The header of a safetensors file; {} where it has none that can be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError):
        return {}


def together(saved: Saved) -> list[tuple[int, list[int]]]:
    """(threads, seeds) of each pretraining that the cell's trained seeds come from.

    Seeds that are pretrained at once share the threads, which can change last bits. Empty where
    the weights are gone: the cell's seeds are then pretrained as it needs them.
    """
    cache = cache_of(saved, saved.directory.parent)
    found: dict[tuple[str, ...], None] = {}
    for seed in dict.fromkeys(replica.seed for replica in saved.trained):
        header = header_of(cache / f"seed={seed}.safetensors") if cache else {}
        if "seeds" in header and "threads" in header:
            found[(header["threads"], header["seeds"])] = None
    return [(int(threads), [int(seed) for seed in seeds.split(",")]) for threads, seeds in found]


def resumed_pretraining(saved: Saved) -> list[str]:
    """A line for each part of the cell's pretraining that another machine or version began."""
    cache = cache_of(saved, saved.directory.parent)
    lines: dict[str, None] = {}
    for seed in dict.fromkeys(replica.seed for replica in saved.trained):
        header = header_of(cache / f"seed={seed}.safetensors") if cache else {}
        for part in _parts(header):
            changed = [f"{name} {made}" for name, made in part.items() if made != header.get(name)]
            if changed:
                seeds = header.get("seeds", seed)
                lines[f"pretraining of seeds {seeds} resumed then: before it had "
                      f"{', '.join(changed)}"] = None  # fmt: skip
    return list(lines)


def _parts(header: Mapping[str, str]) -> list[dict[str, Any]]:
    """Where each part of a pretraining was made from which it was resumed; [] if unreadable."""
    try:
        parts = parse_json(header.get("resumed", "[]"))
    except ValueError:
        return []
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def compared_pretraining(
    saved: Saved, again: Mapping[str, Any], study: Path
) -> tuple[list[str], list[Difference]]:
    """The seeds whose pretrained weights could be compared, and how those differ.

    With the kept weights and their curves; where they are gone, with their hash in the record.
    """
    old, new = (cache_of(saved, each) for each in (saved.directory.parent, study))
    if old is None or new is None:
        return [], []
    seeds = [f"seed={seed}" for seed in dict.fromkeys(replica.seed for replica in saved.trained)]
    recorded = saved.result.pretraining
    first = _by_seed(old, recorded.weights_sha256 if recorded else {})
    second = _by_seed(new, again.get("pretraining", {}).get("weights_sha256", {}))
    pairs = {seed: (first[seed], second.get(seed, {})) for seed in seeds if seed in first}
    return list(pairs), [
        Difference(("pretraining", seed, *difference.place), difference.first, difference.second)
        for seed, (one, other) in pairs.items()
        for difference in differences(one, {name: other.get(name) for name in one})
    ]


def _by_seed(cache: Path, hashes: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """For each seed all that is known of its pretrained weights."""
    found = {f"seed={seed}": {"weights_sha256": digest} for seed, digest in hashes.items()}
    for seed, content in _kept(cache).items():
        found[seed] = found.get(seed, {}) | content
    return found


def _kept(cache: Path) -> dict[str, dict[str, Any]]:
    try:
        return comparable_pretraining(cache)
    except (OSError, ValueError):
        return {}
