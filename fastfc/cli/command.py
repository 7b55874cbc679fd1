"""What all commands share: options in groups, examples in the help, errors in one line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from fastfc.arguments import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

SOURCES = "fastfc.sources"  # in a context's meta: of which file the values of its default_map are


class UsageError(click.ClickException):
    """Something that the user can put right; the message says how."""


class Option(click.Option):
    """An option in a group of the help, which is a table in a configuration file.

    ``many`` options take all words behind them that do not look like options; ``show_default`` is
    what the help says instead of the default.
    """

    def __init__(
        self,
        declarations: Sequence[str],
        *,
        group: str = "options",
        many: bool = False,
        show_default: str | None = None,
        help: str = "",
        **settings: Any,
    ) -> None:
        default = settings.get("default")
        if show_default is None and default is not None and not settings.get("is_flag"):
            show_default = str(default)
        if show_default is not None:
            help = f"{help} (default: {show_default})"
        super().__init__(declarations, help=help, show_default=False, **settings)
        self.group, self.many = group, many

    @property
    def flag(self) -> str:
        """What it is called on the command line."""
        return self.opts[0]

    @property
    def key(self) -> str:
        """What it is called in a configuration file."""
        return self.flag.removeprefix("--").replace("-", "_")


class WithExamples(click.Command):
    """A command whose help ends with examples, which a test runs in the order of all commands."""

    examples: Sequence[str] = ()

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples last."""
        super().format_epilog(ctx, formatter)
        formatter.write("\nExamples:\n")
        formatter.write("".join(f"  {example}\n" for example in self.examples))


class Command(WithExamples):
    """A command of ``fastfc``.

    Parameters
    ----------
    examples : sequence of str
        Command lines.
    aliases : mapping
        Options that stand for another one with a value: ``--no-batchnorm`` for
        ``--normalization=none``.
    """

    def __init__(
        self,
        *args: Any,
        examples: Sequence[str],
        aliases: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(*args, **settings)
        self.examples, self._aliases = examples, aliases or {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, after the words of ``many`` options have become one."""
        if ctx.resilient_parsing:  # a shell completes
            return super().parse_args(ctx, args)
        try:
            return super().parse_args(ctx, self._joined(args))
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def _joined(self, args: list[str]) -> list[str]:
        many = {param.flag for param in self.params if isinstance(param, Option) and param.many}
        joined: list[str] = []
        words: list[str] | None = None
        for arg in args:
            if words is not None and not _looks_like_option(arg):
                words.append(arg)
                joined[-1] = f"{joined[-1].partition('=')[0]}={' '.join(words)}"
                continue
            words = [] if arg in many else None
            joined.append(f"{arg}=" if arg in many else self._aliases.get(arg, arg))
        return joined

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each group below its name."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                groups.setdefault(getattr(param, "group", "options"), []).append(record)
        for name, records in groups.items():
            with formatter.section(name.capitalize()):
                formatter.write_dl(records, col_max=24)


def _looks_like_option(arg: str) -> bool:
    return arg.startswith("-") and not arg[1:2].isdigit()


def in_words(error: click.UsageError) -> str:
    """Return one sentence that says what is wrong with the arguments, and where help is.

    Examples
    --------
    >>> in_words(click.UsageError("it is wrong."))
    'it is wrong; see fastfc --help'
    """
    message = error.message.rstrip(".")
    ctx = error.ctx
    if isinstance(error, click.NoSuchOption):
        params = ctx.command.params if ctx else []
        options = [name for param in params for name in (*param.opts, *param.secondary_opts)]
        message = f"no such option: {error.option_name}{did_you_mean(error.option_name, options)}"
    elif isinstance(error, click.BadParameter) and error.param is not None:
        param = error.param
        name = param.opts[0] if isinstance(param, click.Option) else param.human_readable_name
        if isinstance(error, click.MissingParameter):
            message = f"the following arguments are required: {name}"
        elif ctx and ctx.get_parameter_source(param.name or "") is ParameterSource.DEFAULT_MAP:
            key = param.key if isinstance(param, Option) else name
            return f"{ctx.meta.get(SOURCES, {}).get(param.name, 'configuration')}: {key}: {message}"
        else:
            message = f"argument {name}: {message}"
    return f"{message}; see {ctx.command_path if ctx else 'fastfc'} --help"


def check_writable(flag: str, path: str) -> None:
    """Raise a UsageError where a file cannot be made, before work that would end in that."""
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path) or path.endswith(os.sep):
        raise UsageError(f"{flag} {path}: it is a folder, expected the name of a file in it")
    if not os.path.isdir(folder):
        raise UsageError(f"{flag} {path}: there is no folder {folder}: make it first")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{flag} {path}: the folder {folder} cannot be written to")
