"""Configuration files: everything that ``fastfc train`` takes, as TOML.

A table has the name of a group of the help, a key that of an option, with underscores and without
the dashes before it; keys may also stand outside of tables.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from click.core import ParameterSource

from fastfc.arguments import did_you_mean
from fastfc.cli import folder
from fastfc.cli.command import SOURCES, Option, UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]  (of Python 3.10 alone)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    import click

# In a context's meta: the configuration's path, and what the run that goes on was told.
CONFIG, RUN = "fastfc.config", "fastfc.run"
LARGEST = 1 << 20  # bytes: nobody writes as much
# What says where a run's files are, how it is told of and when it pauses, and is not a part of what
# is trained.
OUTSIDE = (
    *("config", "resume", "out", "overwrite", "save", "checkpoint_name", "compare", "json"),
    "pause_after",
)
# What is told of a run, whatever is trained.
SHOWN = ("examples", "print_every", "progress", "quiet", "report")


def read_toml(path: str) -> dict[str, Any]:
    """Return what a TOML file holds.

    Raises
    ------
    UsageError
        It cannot be read, or is no TOML.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise UsageError(f"{path}: it has more than {LARGEST} bytes, expected a TOML file")
        return tomllib.loads(text.decode())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: no TOML: {error}") from error


def named(path: str, tables: Mapping[str, Any], options: Iterable[Option]) -> dict[str, Any]:
    """Return the values of a file's tables by their options' names.

    Raises
    ------
    UsageError
        There is no such option, it stands twice or in another's table.
    """
    known = {option.key: option for option in options if option.expose_value}
    groups = {option.group for option in known.values()}
    found: dict[str, Any] = {}
    for name, value in tables.items():
        inside = name in groups and isinstance(value, dict)
        for key, item in (value if inside else {name: value}).items():
            option = known.get(key.replace("-", "_"))
            if option is None or option.name is None:
                words = [*known, *groups]
                raise UsageError(f"{path}: there is no option {key!r}{did_you_mean(key, words)}")
            if inside and option.group != name:
                raise UsageError(f"{path}: {key} stands in [{name}], expected in [{option.group}]")
            if option.name in found:
                raise UsageError(f"{path}: {key} stands twice")
            if option.is_flag and not isinstance(item, bool):
                raise UsageError(f"{path}: {key}: {item!r} is not true or false")
            found[option.name] = item
    return found


def read_config(ctx: click.Context, param: click.Parameter, path: str | None) -> str | None:
    """Let a file say the values of options that are not given: a callback of click's."""
    if path is not None and not ctx.resilient_parsing:
        if CONFIG in ctx.meta:
            raise UsageError(f"--config {path}: there is another configuration, {ctx.meta[CONFIG]}")
        ctx.meta[CONFIG] = path
        found = _read(ctx, path)
        if unwanted := found.keys() & {"config", "resume"}:
            raise UsageError(f"{path}: {min(unwanted)} is for the command line")
        sources = dict.fromkeys(found, path)
        ctx.default_map = {**(ctx.default_map or {}), **found}
        ctx.meta[SOURCES] = {**ctx.meta.get(SOURCES, {}), **sources}
    return path


def read_run(ctx: click.Context, param: click.Parameter, path: str | None) -> str | None:
    """Let the configuration of a run that goes on say the values of all other options."""
    if path is not None and not ctx.resilient_parsing and os.path.isdir(path):
        if not folder.is_run(path):
            raise UsageError(f"--resume {path}: there is no run: it has no {folder.CONFIG}")
        path_of_config = os.path.join(path, folder.CONFIG)
        found = _read(ctx, path_of_config)
        sources = dict.fromkeys(found, path_of_config)
        ctx.meta[RUN] = found
        ctx.default_map = {**found, **(ctx.default_map or {})}
        ctx.meta[SOURCES] = {**sources, **ctx.meta.get(SOURCES, {})}
    return path


def _read(ctx: click.Context, path: str) -> dict[str, Any]:
    """Return what a file says of the options of a context's command."""
    options = [param for param in ctx.command.params if isinstance(param, Option)]
    return named(path, read_toml(path), options)


def given_names(ctx: click.Context) -> set[str]:
    """Return the names of the options that the command line or its configuration gives."""
    config, sources = ctx.meta.get(CONFIG), ctx.meta.get(SOURCES, {})
    found = set()
    for param in ctx.command.params:
        name = param.name or ""
        typed = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if isinstance(param, Option) and (typed or (config and sources.get(name) == config)):
            found.add(name)
    return found & ctx.params.keys()


def to_toml(values: Mapping[str, Any], options: Iterable[Option]) -> str:
    """Return the text of a file with these values, by their options' names, but for those OUTSIDE.

    Examples
    --------
    >>> from fastfc.cli.options import OPTIONS
    >>> print(to_toml({"hidden_dims": [8], "num_epochs": 3, "seed": None}, OPTIONS))
    [network]
    hidden = [
        8,
    ]
    <BLANKLINE>
    [training]
    epochs = 3
    <BLANKLINE>
    """
    import tomli_w

    tables: dict[str, dict[str, Any]] = {}
    for option in options:
        value = values.get(option.name or "")
        if value is not None and option.name not in OUTSIDE:
            tables.setdefault(option.group, {})[option.key] = value
    return tomli_w.dumps(tables)
