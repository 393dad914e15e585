"""A classifier of digits, read as sequences of 64 words, with the Trainer of transformers: python hf_trainer.py"""

import torch
from data import digits
from transformers import BertConfig, BertForSequenceClassification, TrainingArguments

from labelemb.integrations.transformers import LabelEmbeddingTrainer

torch.manual_seed(0)
images, labels, test_images, test_labels = digits()


def dataset(images, labels):
    """Return rows as the Trainer takes them: brightness 0 to 16 of each pixel is a word."""
    return [{"input_ids": (16 * image).long(), "labels": label} for image, label in zip(images, labels, strict=True)]


config = BertConfig(
    vocab_size=17, hidden_size=64, num_hidden_layers=1, num_attention_heads=4, intermediate_size=128, num_labels=10
)
model = BertForSequenceClassification(config)
args = TrainingArguments("runs/hf_trainer", num_train_epochs=2, learning_rate=2e-3, use_cpu=True, report_to=[])
trainer = LabelEmbeddingTrainer(model=model, args=args, train_dataset=dataset(images, labels))
trainer.train()
predicted = trainer.predict(dataset(test_images, test_labels)).predictions.argmax(1)
print(f"test error {100 * (predicted != test_labels.numpy()).mean():.2f} %")
