"""Fine-tuning of a pretrained encoder on short texts, against transformers' own Trainer.

    python -m benchmarks.fine_tuning

Each program trains one epoch on the same texts of 10 to 20 words: the loop of this library (batches of similar lengths,
bf16 where the hardware has it) with both methods, and ``Trainer`` with dynamic padding, as its documentation shows,
in its default precision (fp32) and with ``bf16=True``.
The encoder has the shape of MiniLM (6 layers of 384) and random weights. Targets on a CPU: at least 1.5 times as many
texts per second as ``Trainer``; label-embedding step over one-hot step <= 1.03.
"""

import argparse
import csv
import itertools
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import BertConfig, BertModel, BertTokenizerFast

from benchmarks.measure import clock, time_interleaved
from benchmarks.tables import Comparison, show, write
from labelemb.tasks.text import data
from labelemb.tasks.text.batch import batches_by_length, padding_ratio
from labelemb.tasks.text.config import TextConfig
from labelemb.tasks.text.task import TextTask
from labelemb.training.device import make_accelerator
from labelemb.training.settings import FitSettings
from labelemb.training.state import RunningSums, TrainState

BATCH, LABELS, WORDS = 32, 77, 2000
RESULTS = Path(__file__).parent / "results" / "fine_tuning.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=8, help="measured rounds")
    parser.add_argument("--steps", type=int, default=20, help="steps per round")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    parser.add_argument("--note", type=str, default="", help="a remark on the machine, for the file")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_encoder(folder / "encoder")
        make_texts(folder / "texts.csv", args.steps * BATCH)
        config = TextConfig(
            dataset=f"csv:{folder / 'texts.csv'}",
            test_file=str(folder / "texts.csv"),
            validate=False,
            model=f"hf:{folder / 'encoder'}",
            batch_size=BATCH,
            epochs=1,
            precision="auto",
        ).resolved()
        task = TextTask(config, data.load(config.data_options))
        programs = {
            "transformers.Trainer": trainer_epoch(folder, task, bf16=False),
            "transformers.Trainer, bf16": trainer_epoch(folder, task, bf16=True),
            "labelemb, one-hot": epoch(replace(config, method="cross_entropy")),
            "labelemb, label embedding": epoch(replace(config, method="label_embedding")),
        }
        timings = time_interleaved(programs, repeats=args.rounds, warmup=1, clock=clock())
    trainer, trainer_bf16, one_hot, embedding = timings.values()
    lengths = task._encoded["train"].lengths
    ratios = {
        f"texts per second over those of Trainer, one-hot, {config.precision} (target >= 1.5)": trainer.over(one_hot),
        "texts per second over those of Trainer, label embedding": trainer.over(embedding),
        "texts per second over those of Trainer with bf16, one-hot": trainer_bf16.over(one_hot),
        "texts per second over those of Trainer with bf16, label embedding": trainer_bf16.over(embedding),
        "label-embedding step over one-hot step (target <= 1.03)": embedding.over(one_hot),
        "tokens with padding over tokens, labelemb (target <= 1.07)": padding_ratio(
            lengths, batches_by_length(lengths, BATCH, 0, 0)
        ),
        "tokens with padding over tokens, batches in random order": padding_ratio(
            lengths, np.split(np.random.default_rng(0).permutation(len(lengths)), args.steps)
        ),
    }
    count = args.steps * BATCH
    table = Comparison(f"one epoch of {args.steps} steps of {BATCH} texts", timings, "texts", count, ratios)
    note = "; ".join(filter(None, [f"{args.rounds} interleaved rounds", args.note]))
    show(table, note=note)
    write(RESULTS, table, note=note)


def make_encoder(folder: Path) -> None:
    """Write an encoder of MiniLM's shape, and a tokenizer of ``WORDS`` words and their pieces."""
    folder.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{n}" for n in range(WORDS))]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    sizes = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
    BertModel(BertConfig(vocab_size=30522, **sizes)).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)


def make_texts(file: Path, count: int) -> None:
    """Write texts of 10 to 20 random words with random labels."""
    draw = np.random.default_rng(0)
    with file.open("w", newline="", encoding="utf-8") as opened:
        table = csv.writer(opened)
        table.writerow(["text", "label"])
        for number in range(count):
            words = draw.integers(WORDS, size=draw.integers(10, 21))
            table.writerow([" ".join(f"w{word}" for word in words), f"label {number % LABELS}"])


def epoch(config: TextConfig) -> Callable[[], object]:
    """Return one epoch of this library's training loop."""
    task = TextTask(config, data.load(config.data_options))
    settings = FitSettings(epochs=1, seed=0, optimizer=config.optimizer_settings)
    state = TrainState.prepare(task, settings, make_accelerator(config.precision, config.device, "none", Path()))
    numbers = itertools.count()

    def run() -> None:
        for micro_batches in task.batches(next(numbers), 0, state.shard):
            state.step(micro_batches, 5e-5, RunningSums())

    return run


def trainer_epoch(folder: Path, task: TextTask, bf16: bool) -> Callable[[], object]:
    """Return one epoch of ``Trainer`` in fp32, its default, or under bf16 autocast; texts are tokenized before."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "encoder")
    texts = task.data.train
    rows = [
        {**tokenizer(line, truncation=True), "labels": label}
        for line, label in zip(texts.lines, texts.labels.tolist(), strict=True)
    ]
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder / "encoder", num_labels=LABELS)

    def run() -> None:
        arguments = transformers.TrainingArguments(
            output_dir=str(folder / "trainer"),
            per_device_train_batch_size=BATCH,
            num_train_epochs=1,
            learning_rate=5e-5,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            bf16=bf16,
            use_cpu=True,
        )
        collate = transformers.DataCollatorWithPadding(tokenizer)
        trainer = transformers.Trainer(model, arguments, train_dataset=rows, data_collator=collate)
        trainer.train()

    return run


if __name__ == "__main__":
    main()
