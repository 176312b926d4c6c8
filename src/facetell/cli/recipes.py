"""facetell recipes list|show."""

from __future__ import annotations

import json

import click

__all__ = ["recipes"]


@click.group()
def recipes() -> None:
    """List and show training recipes.

    \b
    Example:
      facetell recipes show compact
    """


@recipes.command("list")
@click.option("--json", "as_json", is_flag=True, help="One object per line.")
def list_recipes(as_json: bool) -> None:
    """Names and purposes of the bundled recipes.

    \b
    Example:
      facetell recipes list
    """
    from facetell.recipe import load_recipe, recipe_names

    for name in recipe_names():
        recipe = load_recipe(name)
        if as_json:
            click.echo(json.dumps({"name": name, "purpose": recipe.purpose}))
        else:
            click.echo(f"{name:<18} {recipe.purpose}")


@recipes.command()
@click.argument("name")
@click.option("--resolved", is_flag=True, help="Every setting with its sentence.")
@click.option("--json", "as_json", is_flag=True, help="The resolved recipe as one object.")
def show(name: str, resolved: bool, as_json: bool) -> None:
    """A recipe's text, or all its settings.

    \b
    Example:
      facetell recipes show compact --resolved
    """
    from facetell.recipe import describe_settings, load_recipe, recipe_text

    recipe = load_recipe(name)
    if as_json:
        click.echo(json.dumps(recipe.to_dict()))
    elif resolved:
        click.echo(describe_settings(recipe))
    else:
        click.echo(recipe_text(name)[0].rstrip())
