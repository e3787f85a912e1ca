"""Hyperparameters: the fields of a frozen dataclass, with their defaults, their bounds and whether to search them."""

import dataclasses
import difflib
import math
import sys
import typing
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from platform.records.plain import plain


def hyperparameter(
    default: Any,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    choices: Sequence[Any] | None = None,
    kind: type | None = None,
) -> Any:
    """Declare a dataclass field with the values it may take; `kind` where they need not be of the default's type."""
    rule = Rule(at_least, above, at_most, below, None if choices is None else tuple(choices), kind)
    return dataclasses.field(default=default, metadata={"rule": rule})


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a field's value must satisfy."""

    at_least: float | None
    above: float | None
    at_most: float | None
    below: float | None
    choices: tuple[Any, ...] | None
    kind: type | None

    def __str__(self) -> str:
        if self.choices is not None:
            return "one of " + ", ".join(repr(choice) for choice in self.choices)
        bounds = [("at least", self.at_least), ("above", self.above), ("at most", self.at_most), ("below", self.below)]
        return " and ".join(f"{words} {bound}" for words, bound in bounds if bound is not None)

    def admits(self, value: Any) -> bool:
        """Whether the value lies within the bounds, or is among the choices."""
        if self.choices is not None:
            return any(value is choice or (type(value) is type(choice) and value == choice) for choice in self.choices)
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )


def rule_of(cls: type, name: str) -> Rule:
    """The rule of one field of a dataclass of hyperparameters; a `Literal` lists the choices of its field itself.

    Raises ValueError for a field that was not declared with `hyperparameter`, and for a type that is written as a text
    which means nothing where the class is defined.
    """
    field: dataclasses.Field[Any] = cls.__dataclass_fields__[name]  # type: ignore[attr-defined]
    rule: Rule | None = field.metadata.get("rule")
    if rule is None:
        raise ValueError(f"{cls.__name__}.{name} has no rule; declare it with hyperparameter(default, at_least=...)")
    declared = _meant(cls, name, field.type) if isinstance(field.type, str) else field.type
    return dataclasses.replace(rule, choices=get_args(declared)) if get_origin(declared) is Literal else rule


def _meant(cls: type, name: str, text: str) -> Any:
    """The type of a field that `from __future__ import annotations`, or quotation marks, have made a text of."""
    owner = next(base for base in cls.__mro__ if name in vars(base).get("__annotations__", {}))
    # A worker has the class of a study file, but not its module: there, names from typing are known all the same.
    known = vars(typing) | vars(sys.modules.get(owner.__module__, typing))
    try:
        return get_type_hints(SimpleNamespace(__annotations__={name: text}), known)[name]
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        raise ValueError(
            f"{cls.__name__}.{name} must have a type that can be read, got {text!r} ({error}); "
            "import or define its names at the top of the file"
        ) from error


def check_declared(cls: type) -> None:
    """Raise ValueError unless the class is a frozen dataclass whose defaults satisfy their own rules."""
    remedy = "write @dataclass(frozen=True, kw_only=True) above it"
    for base in cls.__mro__:
        if any(isinstance(value, dataclasses.Field) for value in vars(base).values()):
            raise ValueError(f"{base.__name__} declares hyperparameters but is not a dataclass; {remedy}")
    parameters = vars(cls).get("__dataclass_params__")
    if parameters is not None and not parameters.frozen:
        raise ValueError(f"{cls.__name__} must be a frozen dataclass, since its fields decide a trial's id; {remedy}")
    for field in dataclasses.fields(cls):
        if field.default is dataclasses.MISSING:
            raise ValueError(
                f"{cls.__name__}.{field.name} must have a default, which is the first trial of a search; "
                "declare it with hyperparameter(default, at_least=...)"
            )
        check_value(cls, field.name, field.default)


def check(instance: Any) -> None:
    """Raise ValueError with rule, value and remedy for the first field whose value its rule does not admit.

    Values that another library gave become Python's own, and a whole number in a real field becomes a float, so that
    1, 1.0 and numpy.float64(1) are the same trial.
    """
    for field in dataclasses.fields(instance):
        value = plain(getattr(instance, field.name))
        check_value(type(instance), field.name, value)
        object.__setattr__(instance, field.name, float(value) if isinstance(field.default, float) else value)


def check_value(cls: type, name: str, value: Any) -> None:
    """Raise ValueError unless `value` has the type of the field's default and satisfies its rule."""
    rule = rule_of(cls, name)
    default = cls.__dataclass_fields__[name].default  # type: ignore[attr-defined]
    expected: tuple[type, ...] = (int, float) if isinstance(default, float) else (rule.kind or type(default),)
    if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
        kind = " or ".join(sorted({kind.__name__ for kind in expected}, reverse=True))
        raise ValueError(
            f"{cls.__name__}.{name} must be of type {kind}, got {value!r}; its default is {default!r}"
            f"{_remedy(value, expected)}"
        )
    finite = not isinstance(value, float) or math.isfinite(value)
    if not (finite and rule.admits(value)):
        wanted = str(rule) if finite else "finite"
        raise ValueError(f"{cls.__name__}.{name} must be {wanted}, got {value!r}; its default is {default!r}")


def _remedy(value: Any, expected: tuple[type, ...]) -> str:
    """What helps whoever wrote a value of a wrong type, where that can be guessed."""
    if isinstance(value, type) and issubclass(value, expected):
        return f"; call it: {value.__name__}()"
    if isinstance(value, list | tuple | set) and value and all(isinstance(each, expected) for each in value):
        return f"; to search these, write OneOf({', '.join(map(repr, value))})"
    return ""


def unknown_field(owner: str, name: str, known: Sequence[str]) -> ValueError:
    """The error for a misspelt field: what there is, and the nearest name."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return ValueError(f"{owner} has no field {name!r}. It has: {', '.join(known)}.{hint}")


def field_names(cls: type) -> list[str]:
    """The names of a dataclass's fields, in order."""
    return [entry.name for entry in dataclasses.fields(cls)]


def field_values(instance: Any) -> dict[str, Any]:
    """The values of a dataclass's fields by name."""
    return {name: getattr(instance, name) for name in field_names(type(instance))}
