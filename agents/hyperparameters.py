"""The settings of a run in TensorBoard's table of hyperparameters, beside its scalars."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import yaml
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams


def add_settings(writer: SummaryWriter, settings: Mapping[str, Any]) -> None:
    """Adds resolved settings, nested ones by dotted names; the scalars of the same writer are the run's measures."""
    # The list of all settings, which comes first, is left out: the table would show those of one run alone.
    _, begun, ended = hparams(dict(flat(settings)), {})
    for summary in (begun, ended):
        writer._get_file_writer().add_summary(summary)


def flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str | float]]:
    """Names and values of nested settings; what is neither text nor a number is written as in YAML."""
    named: list[tuple[str, str | float]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            named += flat(value, f"{prefix}{name}.")
        elif isinstance(value, (str, float, int)) and not isinstance(value, bool):
            named.append((prefix + name, value))
        else:
            written = yaml.safe_dump(value, default_flow_style=True, width=math.inf)
            named.append((prefix + name, written.removesuffix("...\n").strip()))
    return named
