"""Fine-tune an encoder with Trainer and with LabelEmbeddingTrainer, and compare the two:

python hf_compare.py intents.csv all-MiniLM-L6-v2 --seeds 6
labelemb report runs/intents

intents.csv has the columns text and label; a fifth of its rows is the test set. The same command goes on after an
interruption.
"""

import argparse
import csv
from pathlib import Path

from sklearn.model_selection import train_test_split
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)

from labelemb.integrations.transformers import LabelEmbeddingTrainer, record_run
from labelemb.runs import RunFolder

TRAINERS = {"cross_entropy": Trainer, "label_embedding": LabelEmbeddingTrainer}

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("csv", type=Path)
parser.add_argument("model", help="directory or name on the Hub")
parser.add_argument("--seeds", type=int, default=6, help="runs of each trainer; 6 are the fewest for a test")
parser.add_argument("--epochs", type=int, default=8)
parser.add_argument("--learning_rate", type=float, default=1e-4)
parser.add_argument("--out", type=Path, default=Path("runs"))
options = parser.parse_args()

with options.csv.open(encoding="utf-8", newline="") as file:
    rows = list(csv.DictReader(file))
names = sorted({row["label"] for row in rows})
labels = [names.index(row["label"]) for row in rows]
train_rows, test_rows = train_test_split(range(len(rows)), test_size=0.2, stratify=labels, random_state=0)
tokenizer = AutoTokenizer.from_pretrained(options.model)


def dataset(numbers):
    """Return tokenized texts with their labels."""
    encoded = tokenizer([rows[number]["text"] for number in numbers], truncation=True, max_length=128)
    return [
        {"input_ids": ids, "attention_mask": mask, "labels": labels[number]}
        for ids, mask, number in zip(encoded["input_ids"], encoded["attention_mask"], numbers, strict=True)
    ]


train, test = dataset(train_rows), dataset(test_rows)
for seed in range(options.seeds):
    for method, trainer_class in TRAINERS.items():
        if RunFolder.of(options.out, options.csv.stem, method, seed).finished:
            continue
        set_seed(seed)  # both trainers start with the same classifier
        model = AutoModelForSequenceClassification.from_pretrained(
            options.model, id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)}
        )
        args = TrainingArguments(
            "checkpoints",
            num_train_epochs=options.epochs,
            per_device_train_batch_size=32,
            learning_rate=options.learning_rate,
            warmup_steps=int(0.1 * options.epochs * len(train) / 32),
            save_strategy="no",
            report_to=[],
            dataloader_pin_memory=False,
            seed=seed,
        )
        trainer = trainer_class(
            model=model, args=args, train_dataset=train, data_collator=DataCollatorWithPadding(tokenizer)
        )
        trainer.train()
        run = record_run(trainer, test, options.csv.stem, method, out=options.out)
        print(f"{run.path}: test error {run.history()[-1]['test_error']:.2f} %")
