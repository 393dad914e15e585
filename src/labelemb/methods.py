"""The registry of training methods, each of which describes itself; a file in ``losses/baselines`` adds one."""

import pkgutil
from importlib import import_module

from labelemb.errors import ConfigError, nearest
from labelemb.losses import baselines, control_methods, cross_entropy, frozen, label_embedding
from labelemb.losses.base import Loss
from labelemb.losses.method import LossContext, Method, MethodOptions

BASELINE = cross_entropy.METHOD.name


def _registry() -> dict[str, Method]:
    """Collect the methods of this library's own paper, then every ``METHOD`` of ``losses/baselines`` by name."""
    methods = [cross_entropy.METHOD, label_embedding.METHOD, frozen.METHOD]
    methods += [control_methods.MATCHED, control_methods.SHUFFLED]
    names = [f"{baselines.__name__}.{module.name}" for module in pkgutil.iter_modules(baselines.__path__)]
    others = {method.name: method for method in (import_module(name).METHOD for name in names)}
    return {method.name: method for method in methods} | dict(sorted(others.items()))


METHODS = _registry()


def option_classes() -> list[type[MethodOptions]]:
    """Return the options of all methods, without those that another one extends."""
    found = list(dict.fromkeys(method.options for method in METHODS.values()))
    return [one for one in found if not any(other is not one and issubclass(other, one) for other in found)]


def methods_using(key: str) -> list[str]:
    """Return the names of the methods that have an option; empty for a config key that is not a method's.

    >>> methods_using("ols_weight"), methods_using("epochs")
    (['ols'], [])
    """
    return [name for name, method in METHODS.items() if key in method.keys]


def find_method(name: str) -> Method:
    """Return a method by name.

    Raises:
        ConfigError: There is no such method.
    """
    if name not in METHODS:
        raise ConfigError("method", f"one of {', '.join(METHODS)}", repr(name), nearest(name, METHODS))
    return METHODS[name]


def build_loss(name: str, options: MethodOptions, context: LossContext) -> Loss:
    """Return the loss of a method.

    Args:
        name: Name of the method.
        options: An instance of the method's ``options``.
        context: What model, data and run contribute.

    Raises:
        ConfigError: The method does not exist, or its options or the implementation do not fit.
        DataError: A file that the options name is damaged or lacks a label.
    """
    method = find_method(name)
    method.check(options, context.objective)
    if not method.chunked and context.impl not in ("auto", "eager"):
        raise ConfigError("impl", f"eager or auto for method {name}", repr(context.impl))
    return method.build(options, context)
