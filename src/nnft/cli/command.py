"""A subcommand that takes every option at most once, but those that are made to be repeated."""

from __future__ import annotations

import click


class StrictCommand(click.Command):
    """Refuses an option that is given twice: which value was meant is not guessed."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words after the command's name."""
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for parameter in given:
            once = isinstance(parameter, click.Option) and not parameter.multiple and not parameter.is_flag
            if once and given.count(parameter) > 1:
                ctx.fail(f"Option {parameter.opts[-1]} given twice; give it once.")
        return super().parse_args(ctx, args)
