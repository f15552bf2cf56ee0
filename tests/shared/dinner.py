"""Settings of every kind, as a command has them: a kitchen, what is bought where, and a dinner."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import typer
from pydantic import Field, model_validator
from typer.testing import CliRunner

from shared.settings import Settings, Several, options_of


class Kitchen(Settings):
    """A small class of every kind of field."""

    environment = "CHORUS_EDGE_"
    panel = "Kitchen"
    gone = {"stove": "Induction it is now."}  # noqa: RUF012 - as a class of settings has it

    name: str = "soup"
    """What to cook."""
    salt: Annotated[float, Field(ge=0)] = 0.5
    """Grams of ``salt``."""
    guests: Annotated[int, Field(ge=1)] | None = None
    """How many come."""
    book: Path | None = None
    """Where the recipe is."""
    heat: Literal["low", "high"] = "low"
    """How hot."""
    lid: bool = True
    """With the lid on."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.lid and self.heat == "high":
            raise ValueError("it boils over")
        return self


class Shop(Settings):
    """A table."""

    panel = "Shop"
    own_option = "street"

    street: str = "Market"
    """Where it is."""
    open_at: Annotated[int, Field(ge=0, le=23)] | None = None
    """From which hour on."""

    @model_validator(mode="after")
    def _check_hour(self) -> Self:
        if self.street == "Closed" and self.open_at:
            raise ValueError("it never opens")
        return self


class Bakery(Shop):
    """Another table, with names of its own."""

    panel = "Bakery"
    option_prefix = "bakery_"

    street: str
    """Where bread is."""


class Dinner(Kitchen):
    """Adds parts of its own."""

    panel = "Dinner"

    candles: int = 0
    """On the table."""
    drinks: Several = ("water", "wine")
    """What there is."""
    shop: Shop = Shop()
    """Where it is bought."""
    bakery: Bakery | None = None
    """Where bread is bought."""


def cook(arguments: list[str]) -> tuple[int, dict[str, Any], str]:
    """Run a command with these options: exit code, what was given, what it printed."""
    seen: dict[str, Any] = {}
    app = typer.Typer(rich_markup_mode=None)

    @app.command()
    @options_of(Dinner)
    def dinner(*, given: dict[str, Any], quick: bool = False) -> None:
        """Cook."""
        seen.update(given, quick=quick)

    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    return result.exit_code, seen, result.output
