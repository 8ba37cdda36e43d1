"""Names of a Keras model's weights: the variables' paths, with Keras' own numbers counted within the model."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import keras

# `forward_lstm_3` is what Bidirectional makes of `lstm_3`.
_WORD = re.compile(r"(?P<lead>(?:forward_|backward_)?)(?P<stem>.+?)(?:_(?P<number>[1-9][0-9]*))?")


def weight_names(model: Any, variables: Iterable[Any]) -> list[str]:
    """A unique name for each of the model's variables, in their order, the same on every node of a swarm.

    It is the variable's path. Keras numbers what has no name by what its process has made before (`dense`, `dense_1`),
    so that a node which made another model first would call the same layer `dense_3`. Within each kind the numbers
    are therefore counted anew, in their order: what a fresh process with this model alone would have. A name that the
    user gave stays, unless it looks like an automatic one (`dense_1`): give such names to all layers of a kind or to
    none. Equal names are told apart by `#2`, in the model's order.
    """
    paths = [str(variable.path) for variable in variables]
    layers = model._flatten_layers(include_self=True, recursive=True)
    words = {word for path in paths for word in path.split("/")} | {str(layer.name) for layer in layers}
    renamed = _renamed(words, _automatic() | {_snake(type(layer).__name__) for layer in layers})
    names: dict[str, None] = {}
    for path in paths:
        plain = name = "/".join(renamed.get(word, word) for word in path.split("/"))
        number = 1
        while name in names:
            number += 1
            name = f"{plain}#{number}"
        names[name] = None
    return list(names)


def _renamed(words: Iterable[str], kinds: frozenset[str]) -> Mapping[str, str]:
    """The words that are automatic names, each with its number among those of its kind."""
    found: dict[str, tuple[str, str, int]] = {}
    numbers: dict[str, set[int]] = {}
    for word in words:
        match = _WORD.fullmatch(word)
        if match is None:
            continue
        lead, stem, number = match["lead"], match["stem"], int(match["number"] or 0)
        if stem not in kinds:
            continue
        found[word] = (lead, stem, number)
        numbers.setdefault(stem, set()).add(number)
    ranks = {stem: {number: rank for rank, number in enumerate(sorted(own))} for stem, own in numbers.items()}
    return {
        word: f"{lead}{stem}_{ranks[stem][number]}" if ranks[stem][number] else f"{lead}{stem}"
        for word, (lead, stem, number) in found.items()
    }


@cache
def _automatic() -> frozenset[str]:
    """What Keras calls objects without a name, by their classes."""
    classes = [name for name, kind in vars(keras.layers).items() if inspect.isclass(kind)]
    return frozenset(map(_snake, [*classes, "Model", "Sequential", "Functional", "Variable"]))


def _snake(name: str) -> str:
    """`Conv2D` -> `conv2d`, as `keras.src.utils.naming.to_snake_case` does."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
