"""The options of the commands that train: what they share, and those of the preset's task."""

from argparse import SUPPRESS
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from labelemb.cli.execution import add_execution
from labelemb.cli.parser import Parser
from labelemb.errors import ConfigError
from labelemb.presets import Preset, preset_names, read_preset
from labelemb.tasks.seq2seq import recipe as seq2seq
from labelemb.tasks.seq2seq.config import Seq2SeqConfig
from labelemb.tasks.text import recipe as text
from labelemb.tasks.text.config import TextConfig
from labelemb.tasks.vision import recipe as vision
from labelemb.tasks.vision.config import VisionConfig
from labelemb.training.config import TrainingConfig

HELP_FLAGS = ("-h", "--help", "--help-all")
FLAGS = (*HELP_FLAGS, "--resume")  # every other option of these commands takes one value
# Config keys that --help shows; --help-all shows the rest.
COMMON = {
    *("dataset", "corpus", "validate", "model", "width", "hidden_size", "layers", "epochs", "batch_size", "optimizer"),
    *("learning_rate", "weight_decay", "schedule", "tau", "alpha", "beta", "smoothing", "embedding", "precision"),
    *("eval_metrics", "beam_size"),
    *("image_size", "augment", "auto_augment", "random_erasing", "mixup", "cutmix", "skip_damaged"),
    *("valid_file", "test_file", "text_column", "label_column", "per_label"),
    *("sampling", "class_weights", "patience", "best_metric"),
}


@dataclass(frozen=True)
class Recipe:
    """How the presets of a task are trained: the config class, the check of a planned run, the training of one."""

    config: type[TrainingConfig]
    check: Callable[..., tuple[str, ...] | None]
    train: Callable[..., None]


RECIPES = {
    "vision": Recipe(VisionConfig, vision.check, vision.train),
    "text": Recipe(TextConfig, text.check, text.train),
    "seq2seq": Recipe(Seq2SeqConfig, seq2seq.check, seq2seq.train),
}


@dataclass(frozen=True)
class TrainingCommand:
    """The command line of a command that trains.

    Args:
        name: Name of the command.
        description: What it does; ``{preset}`` and ``{summary}`` stand for those of the preset.
        session: Example commands with their output.
        methods: How many methods ``--method`` takes; ``"none"``: there is no such option.
        method: Default of ``--method``; "": the preset's.
        add_arguments: Adds the command's own arguments.
        auto_seeds: Whether ``--seeds auto`` is known.
    """

    name: str
    description: str
    session: str
    methods: Literal["several", "one", "none"] = "several"
    method: str = ""
    add_arguments: Callable[[Parser], None] = lambda parser: None
    auto_seeds: bool = False

    def parser(self, arguments: Sequence[str]) -> Parser:
        """Return the parser for the preset that the arguments name. Raises ConfigError."""
        name = find_preset(arguments)
        if name is None and set(HELP_FLAGS) & set(arguments):
            return self._general_parser()
        if name is None:
            raise ConfigError("preset", f"one of {', '.join(preset_names())}, or a YAML file", "none")
        if ":" in name:
            hint = f"Your own data: labelemb {self.name} PRESET --dataset {name}"
            raise ConfigError("preset", "the name of a preset (labelemb list), or a YAML file", repr(name), hint)
        preset = read_preset(name)
        config = recipe_of(preset).config
        description = self.description.format(preset=preset.name, summary=preset.summary)
        parser = self._parser(description, config.methods, preset.values.get("seed", 0))
        add_config(parser, config, show_all="--help-all" in arguments)
        for other in RECIPES.values():
            for field in fields(other.config):
                tasks = [each for each, recipe in RECIPES.items() if field.name in recipe.config.defaults()]
                parser.others[f"--{field.name}"] = f"{' and '.join(tasks)} presets, not of {preset.name}"
        values = config_values(config, preset.values, f"preset {preset.name}")
        own = {"seed", "method"} if self.method or self.methods == "none" else {"seed"}  # --seeds may replace the seed
        values = {key: value for key, value in values.items() if key not in own}
        parser.set_defaults(values | {"threads": preset.threads})
        return parser

    def _parser(self, description: str, methods: Sequence[str], seed: int) -> Parser:
        parser = Parser(description, self.session, usage=f"labelemb {self.name} PRESET [options]")
        parser.add_argument("--help-all", action="help", help="show all options, the rare ones too, and exit")
        parser.add_argument("preset", type=str, nargs="?", help="name of a preset (labelemb list), or a YAML file")
        self.add_arguments(parser)
        if self.methods != "none":
            several = "; several: separated by commas" if self.methods == "several" else ""
            text = f"{', '.join(methods)}{several}"
            parser.add_argument("--method", type=str, default=self.method or "label_embedding", help=text)
        parser.add_argument("--seed", type=int, help=f"seed of a single run; default: {seed}")
        kind: Any = int | Literal["auto"] if self.auto_seeds else int
        auto = "; auto: as many as --within needs" if self.auto_seeds else ""
        parser.add_argument("--seeds", type=kind, help=f"run seeds 0 to N-1{auto}")
        add_execution(parser)
        data = "folder with the data, or its parent; default: the environment variable LABELEMB_DATA, else a download"
        parser.add_argument("--data", type=str, help=data)
        parser.add_argument(
            "--out", type=str, default="runs", help="folder or URL for the run folders OUT/NAME/METHOD/seed-N"
        )
        text = "NAME in the run folders; default: the name of the preset, or of your own data"
        parser.add_argument("--name", type=str, help=text)
        return parser

    def _general_parser(self) -> Parser:
        """Return a parser for ``--help`` without a preset: the options that every preset has, and no defaults."""
        description = self.description.format(preset="a preset", summary="any of those below").partition(":")[0]
        parser = self._parser(description, TrainingConfig.methods, 0)
        add_config(parser, TrainingConfig, show_all=True)
        for action in parser._actions:
            if action.dest in TrainingConfig.defaults() and action.dest != "method":
                action.default = None
        width = max(map(len, preset_names()))
        presets = "\n".join(f"  {name:{width}}  {read_preset(name).summary}" for name in preset_names())
        note = f"labelemb {self.name} PRESET --help shows the options and defaults of a preset."
        parser.epilog = f"presets:\n{presets}\n\n{note}\n\n{self.session}"
        return parser


def add_config(parser: Parser, config: type, show_all: bool) -> None:
    """Add an option for each field of a config class, with the help of its docstring.

    Args:
        parser: Parser to extend.
        config: A dataclass; ``method`` and ``seed`` get no option here.
        show_all: Whether ``--help`` shows all options instead of the common ones.
    """
    names = {field.name for field in fields(config)} - {"method", "seed"}
    common = parser.add_argument_group("options of the run" if show_all else "common options of the run")
    common.add_class_arguments(config, as_group=False, skip=names - COMMON | {"method", "seed"})
    rare = parser.add_argument_group("more options of the run" if show_all else None)
    rare.add_class_arguments(config, as_group=False, skip=names & COMMON | {"method", "seed"})
    if not show_all:
        rare.description = "--help-all shows all options."
        for action in rare._group_actions:
            action.help = SUPPRESS


def find_preset(arguments: Sequence[str]) -> str | None:
    """Return the first argument that is neither an option nor an option's value; the options depend on it.

    Example:
        >>> find_preset(["--dataset", "digits", "mnist-mlp", "--epochs=2"])
        'mnist-mlp'
    """
    is_value = False
    for argument in arguments:
        if argument.startswith("-"):
            is_value = "=" not in argument and argument not in FLAGS
        elif is_value:
            is_value = False
        else:
            return argument
    return None


def recipe_of(preset: Preset) -> Recipe:
    """Return how a preset is trained. Raises ConfigError for an unknown task."""
    if preset.task not in RECIPES:
        raise ConfigError("task", " or ".join(RECIPES), repr(preset.task))
    return RECIPES[preset.task]


def config_values(config: type, values: dict[str, Any], source: str) -> dict[str, Any]:
    """Convert values, as texts or from YAML, to the types of a config class's fields. Raises ConfigError."""
    parser = Parser()
    parser.add_class_arguments(config, as_group=False)
    return parser.values_of(values, source)
