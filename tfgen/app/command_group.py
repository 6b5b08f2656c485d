"""The frame of the `tfgen` command: errors in a line, and the options that commands share."""

import json
import sys
import traceback

import click

from tfgen.app.own_modules import import_own
from tfgen.app.signals import terminating
from tfgen.app.terminal import without_retracing

# What is said of bad input and of the system, in words of its own.
_TOLD = (ValueError, OSError, NotImplementedError, ArithmeticError)
_OF_HOSTS = ("UnavailableError", "AbortedError", "DeadlineExceededError")
_DEBUG = "tfgen.debug"  # where it is kept
_LONGEST = 1000  # characters of an error: Keras's may hold a whole configuration


class Commands(click.Group):
    """Command group in which all that goes wrong is told in a line, without a traceback.

    Exit codes: 2 for a command line that cannot be read, 1 for all other errors, of bad input or
    of this program; 130 and 143 for what was interrupted or terminated.
    """

    def add_command(self, cmd, name=None):
        cmd.params += [debug_option(), import_option()]
        super().add_command(cmd, name)

    def invoke(self, ctx):
        try:
            with terminating(), without_retracing():
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # click's own
        except KeyboardInterrupt as stop:
            goes_on = "; `tfgen train` goes on from the last epoch"
            on = goes_on if ctx.invoked_subcommand != "serve" else ""
            click.echo(f"\nInterrupted{on}.", err=True)
            sys.exit(getattr(stop, "exit_code", 130))
        except Exception as error:
            if ctx.meta.get(_DEBUG):
                traceback.print_exc()
            raise click.ClickException(_as_line(error)) from error


def debug_option():
    """The option `--debug`, which the group and its commands have alike."""

    def keep(ctx, param, value):
        ctx.meta[_DEBUG] = ctx.meta.get(_DEBUG) or value

    flag = {"is_flag": True, "is_eager": True, "expose_value": False}
    return click.Option(["--debug"], callback=keep, help="Show the trace of an error, too.", **flag)


def import_option():
    """The option `--import` of all commands, for classes that files of models name."""

    def bring(ctx, param, values):
        for name in values:
            try:
                import_own(name)
            except ImportError as error:
                raise click.BadParameter(f"{name!r} cannot be imported: {error}") from error

    return click.Option(
        ["--import"],
        multiple=True,
        callback=bring,
        expose_value=False,
        metavar="MODULE",
        help="Import a module of yours first, which registers classes that a run holds.",
    )


def _as_line(error):
    words = " ".join(str(error).split()) or type(error).__name__
    if len(words) > _LONGEST:
        words = f"{words[:_LONGEST]} ... (--debug shows all)"
    if isinstance(error, _TOLD):
        return words
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return f"out of memory: try smaller batches, a smaller model or smaller images ({words})"
    if type(error).__name__ in _OF_HOSTS:
        return f"another host is lost: give the same command on all of them again ({words})"
    return (
        f"this is a fault of tfgen and not yours: {type(error).__name__}: {words}. Please report "
        "it with the trace that the same command shows with --debug"
    )


def as_settings(ctx, param, values):
    """Parses `key=value` pairs into a dict; values are JSON where they can be."""
    settings = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"expected key=value, got {text!r}")
        if key in settings:
            raise click.BadParameter(f"{key} is given twice")
        try:
            settings[key] = json.loads(value)
        except json.JSONDecodeError:
            settings[key] = value
        except (ValueError, RecursionError) as error:
            raise click.BadParameter(f"{key}: {error}") from error
    return settings


class Name(click.ParamType):
    """Name or path: any text but an empty one, as an unset variable of a shell leaves it."""

    name = "text"

    def convert(self, value, param, ctx):
        if not value:
            self.fail("expected a name or a path, got ''", param, ctx)
        return value


NAME = Name()
