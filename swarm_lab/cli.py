"""`swarm-lab`: the verbs in a shell, their options made from the verbs' models."""

from __future__ import annotations

import difflib
import errno
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click
from pydantic import BaseModel, ValidationError

from swarm_lab import __version__
from swarm_lab.errors import DoesNotHold, NoRoom, SwarmLabError, UsageError
from swarm_lab.front.command import FlatCommand, read_options
from swarm_lab.front.options import Verdict
from swarm_lab.front.show import JsonOut, Output, PeopleOut
from swarm_lab.verbs import VERBS, Verb

INTERRUPTED = 130


class Verbs(click.Group):
    """A group that names the nearest known verb for an unknown one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with a suggestion."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], self.commands, n=1, cutoff=0.5)
            hint = f"did you mean `{ctx.command_path} {near[0]}`?" if near else f"see `{ctx.command_path} --help`"
            raise UsageError(f"there is no verb {args[0]!r}", next_step=hint)
        return super().resolve_command(ctx, args)


def group() -> click.Group:
    """The whole command, made from `VERBS`."""
    whole = Verbs("swarm-lab", help="Swarm learning: sites train one model together, and no data leaves a site.")
    whole.params.append(_json_option())
    whole = click.version_option(__version__, prog_name="swarm-lab")(whole)
    for verb in VERBS:
        _parent(whole, verb).add_command(FlatCommand.of(verb.words[-1], verb.help, verb.options, _runner(verb)))
    return whole


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one call and leave with its exit status: 0, 2 for a wrong call, 1 for other failures, 130 after Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    before = given[: given.index("--")] if "--" in given else given
    out: Output = JsonOut() if "--json" in before else PeopleOut()
    try:
        status = _guarded(given, out)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone (`| head`); what is left to write goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)


def _guarded(arguments: list[str], out: Output) -> int:
    """Run, and turn every failure into an answer."""
    try:
        with out:
            group()(arguments, prog_name="swarm-lab", standalone_mode=False, obj=out)
        return 0
    except SwarmLabError as error:
        return out.fail(error)
    except click.ClickException as error:
        return out.fail(usage_error(error))
    except (KeyboardInterrupt, click.Abort):
        out.detached()
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return out.fail(NoRoom(f"no space is left: {error}"))
        return out.fail(SwarmLabError(f"{type(error).__name__}: {error}"))
    except Exception as error:  # noqa: BLE001 - whatever went wrong, the caller must find an error object
        traceback.print_exc()
        return out.fail(SwarmLabError(f"{type(error).__name__}: {error}"))


def _runner(verb: Verb) -> Any:
    def run(**given: Any) -> None:
        out: Output = click.get_current_context().find_root().obj
        given.pop("json", None)
        try:
            options = read_options(verb.options, given)
        except ValidationError as error:
            raise invalid_options(f"swarm-lab {verb.name}", error) from error
        out.begin(verb.name)
        answer: BaseModel = verb.run(options, out)
        out.answer(verb.name, answer)
        if isinstance(answer, Verdict) and not answer.ok:
            raise DoesNotHold("; ".join(f"{e.what}: {e.message}" for e in answer.evidence if not e.ok))

    return run


def _parent(whole: click.Group, verb: Verb) -> click.Group:
    if len(verb.words) == 1:
        return whole
    found = whole.commands.get(verb.words[0])
    if not isinstance(found, click.Group):
        found = Verbs(verb.words[0], help=f"{verb.words[0].capitalize()}: its own verbs.")
        whole.add_command(found)
    return found


def _json_option() -> click.Option:
    return click.Option(["--json"], is_flag=True, help="Answer with JSON objects, one a line.", expose_value=False)


def usage_error(error: click.ClickException) -> UsageError:
    """Click's own complaints as ours, the nearest known option named."""
    where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "swarm-lab"
    if isinstance(error, click.NoSuchOption):
        known = [name for p in error.ctx.command.params for name in (*p.opts, *p.secondary_opts)] if error.ctx else []
        near = difflib.get_close_matches(error.option_name, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"see `{where} --help`"
        return UsageError(f"`{where}` has no option {error.option_name}", next_step=hint)
    return UsageError(error.format_message().rstrip("."), next_step=f"see `{where} --help`")


def invalid_options(command: str, error: ValidationError) -> UsageError:
    """The first option of `command` whose value does not fit, in words."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "options"
    shown = name if name == "options" else f"--{name.replace('_', '-')}"
    return UsageError(f"{shown}: {first['msg']}", next_step=f"see `{command} --help`")


if __name__ == "__main__":
    main()
