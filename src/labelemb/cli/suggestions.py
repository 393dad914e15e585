"""Hints for mistyped options, keys and methods, and for the names that other programs use."""

from collections.abc import Iterable

from labelemb.errors import nearest

# The usual names of options in other programs -> ours.
OPTIONS = {
    "lr": "learning_rate",
    "bs": "batch_size",
    "batch": "batch_size",
    "accum": "gradient_accumulation_steps",
    "grad_accum": "gradient_accumulation_steps",
    "wd": "weight_decay",
    "clip": "max_grad_norm",
    "grad_clip": "max_grad_norm",
    "num_epochs": "epochs",
    "scheduler": "schedule",
    "lr_scheduler": "schedule",
    "arch": "model",
    "backbone": "model",
    "mode": "method",
    "methods": "method",
    "loss": "method",
    "label_smoothing": "smoothing",
    "temperature": "tau",
    "num": "seed",
    "num_seeds": "seeds",
    "workers": "jobs",
    "num_workers": "jobs",
    "data_dir": "data",
    "data_path": "data",
    "output": "out",
    "output_dir": "out",
    "out_dir": "out",
    "baseline": "reference",
    "amp": "precision",
    "dtype": "precision",
    "num_beams": "beam_size",
    "figure": "metric",
}
METHODS = {
    "baseline": "cross_entropy",
    "ce": "cross_entropy",
    "one_hot": "cross_entropy",
    "onehot": "cross_entropy",
    "none": "cross_entropy",
    "emb": "label_embedding",
    "len": "label_embedding",
    "ls": "label_smoothing",
    "smoothing": "label_smoothing",
    "matched": "matched_smoothing",
    "shuffled": "shuffled_embedding",
    "reuse": "frozen_embedding",
    "matrix": "soft_label_matrix",
    "online_label_smoothing": "ols",
    "pskd": "ps_kd",
    "tfkd": "tf_kd",
    "relaxation": "label_relaxation",
    "lcm": "label_confusion",
}


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a hint for an unknown option or config key; "" when nothing known is similar.

    Args:
        name: The unknown name, with its dashes if it is an option.
        known: The known names, in the same form.

    Example:
        >>> suggest("--lr", ["--learning_rate", "--epochs"]), suggest("epoch", ["epochs"])
        ("Did you mean '--learning_rate'?", "Did you mean 'epochs'?")
    """
    known = [candidate for candidate in known if candidate not in ("-h", "--help", "--help-all")]
    bare = name.lstrip("-").replace("-", "_")
    dashes = name[: len(name) - len(name.lstrip("-"))]
    for candidate in (f"{dashes}{OPTIONS.get(bare, bare)}", f"{dashes}{bare}"):
        if candidate in known:
            return f"Did you mean {candidate!r}?"
    hint = nearest(bare, [candidate.lstrip("-") for candidate in known])  # dashes would make all options similar
    return hint.replace("'", f"'{dashes}", 1)


def suggest_method(name: str, known: Iterable[str]) -> str:
    """Return a hint for an unknown method; "" when no known one is similar.

    Example:
        >>> suggest_method("emb", ["cross_entropy", "label_embedding"])
        "Did you mean 'label_embedding'?"
    """
    known = list(known)
    synonym = METHODS.get(name.lower().replace("-", "_"))
    return f"Did you mean {synonym!r}?" if synonym in known else nearest(name, known)
