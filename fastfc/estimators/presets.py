"""Presets: what one would choose today, under one name."""

from __future__ import annotations

from typing import Any

__all__ = ["PRESETS"]

# What each sets, of the parameters that are left at their defaults; `start` is no parameter.
PRESETS: dict[str, dict[str, Any]] = {
    "modern": {
        "start": "he",
        "normalization": "batchnorm",
        "dropout": 0.1,
        "learning_rate_init": 0.01,
        "lr_schedule": "cosine",
        "batch_size": 32,
        "max_iter": 50,
        "early_stopping": True,
        "n_iter_no_change": 20,
    },
}
