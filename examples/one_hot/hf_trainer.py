"""A classifier of digits, read as words, with the Trainer of transformers: python hf_trainer.py"""

import torch
from data import digits
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

torch.manual_seed(0)
images, labels, test_images, test_labels = digits()


def dataset(images, labels):
    """Return rows as the Trainer takes them: the word of a bright pixel is its position, others are padding."""
    words = torch.where(images > 0.5, torch.arange(1, 65), 0)
    rows = zip(words, (words > 0).long(), labels, strict=True)
    return [{"input_ids": row, "attention_mask": mask, "labels": label} for row, mask, label in rows]


config = BertConfig(
    vocab_size=65, hidden_size=64, num_hidden_layers=1, num_attention_heads=4, intermediate_size=128, num_labels=10
)
model = BertForSequenceClassification(config)
args = TrainingArguments(
    "runs/hf_trainer", per_device_train_batch_size=32, num_train_epochs=8, learning_rate=5e-3, use_cpu=True
)
trainer = Trainer(model=model, args=args, train_dataset=dataset(images, labels))
trainer.train()
predicted = trainer.predict(dataset(test_images, test_labels)).predictions.argmax(1)
print(f"test error {100 * (predicted != test_labels.numpy()).mean():.2f} %")
