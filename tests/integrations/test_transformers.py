"""The Trainer of transformers with tiny configured models: nothing is downloaded."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

transformers = pytest.importorskip("transformers", reason="pip install 'labelemb[transformers]'")

from labelemb import LabelEmbeddingLoss, LabelSmoothingLoss, LossModel, Objective, OnlineLabelSmoothingLoss  # noqa: E402
from labelemb.errors import ConfigError, DataError  # noqa: E402
from labelemb.integrations.transformers import LabelEmbeddingTrainer  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # those of transformers and accelerate are theirs to mend
WORDS, LABELS, SIZE = 40, 5, 16
SMALL = {
    "vocab_size": WORDS,
    "hidden_size": SIZE,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


def bert(kind: str = "BertForSequenceClassification", **options: Any) -> nn.Module:
    torch.manual_seed(0)
    dropouts = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return getattr(transformers, kind)(transformers.BertConfig(**SMALL, **dropouts, num_labels=LABELS, **options))


def gpt2() -> nn.Module:
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=WORDS,
        n_embd=SIZE,
        n_layer=1,
        n_head=2,
        n_positions=16,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    return transformers.GPT2LMHeadModel(config)


def t5() -> nn.Module:
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=WORDS,
        d_model=SIZE,
        d_kv=8,
        d_ff=16,
        num_layers=1,
        num_heads=2,
        dropout_rate=0.0,
        decoder_start_token_id=0,
    )
    return transformers.T5ForConditionalGeneration(config)


class Rows(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Sentences of equal length whose label, or whose words' labels, follow from their words."""

    def __init__(self, count: int, kind: str = "sentence") -> None:
        generator = torch.Generator().manual_seed(1)
        self.words = torch.randint(1, WORDS, (count, 6), generator=generator)
        self.labels = self.words[:, 0] % LABELS if kind == "sentence" else self.words % LABELS
        if kind == "language":
            self.labels = self.words.clone()
        if kind != "sentence":
            lengths = torch.randint(2, 7, (count, 1), generator=generator)  # padding, uneven between rows
            self.labels = torch.where(torch.arange(6) < lengths, self.labels, -100)

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        return {
            "input_ids": self.words[row],
            "attention_mask": torch.ones(6, dtype=torch.long),
            "labels": self.labels[row],
        }


def arguments(folder: Path, **options: Any) -> Any:
    defaults = {
        "max_steps": 3,
        "per_device_train_batch_size": 8,
        "learning_rate": 1e-3,
        "weight_decay": 0.1,
        "use_cpu": True,
    }
    quiet = {"report_to": [], "disable_tqdm": True, "save_strategy": "no", "logging_steps": 1, "seed": 0}
    return transformers.TrainingArguments(output_dir=str(folder), **{**defaults, **quiet, **options})


def gradients(folder: Path, model: nn.Module, data: Rows, loss: nn.Module | None, **options: Any) -> dict[str, Tensor]:
    """Change of each parameter by one plain step of rate 1: its gradient."""
    settings = {
        "max_steps": 1,
        "optim": "sgd",
        "learning_rate": 1.0,
        "weight_decay": 0.0,
        "max_grad_norm": 0.0,
        "lr_scheduler_type": "constant",
    }
    trainer = LabelEmbeddingTrainer(
        model=model, args=arguments(folder, **settings, **options), train_dataset=data, loss=loss
    )
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    trainer.train()
    return {name: before[name] - value.detach() for name, value in trainer.model.named_parameters()}


MODELS = {
    "sequence classification": (bert, "sentence", LABELS),
    "token classification": (lambda: bert("BertForTokenClassification"), "tokens", LABELS),
    "causal, tied head": (gpt2, "language", WORDS),
    "encoder-decoder, tied head": (t5, "language", WORDS),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_loss_is_that_of_a_loop_by_hand(name: str, tmp_path: Path) -> None:
    make, kind, num_labels = MODELS[name]
    data, model = Rows(8, kind), make()
    wrapper = LossModel(model, LabelEmbeddingLoss(SIZE, num_labels, objective=Objective.seq2seq()))
    batch = {key: torch.stack([data[row][key] for row in range(8)]) for key in data[0]}
    out = wrapper(**batch)
    labels = batch.pop("labels")
    if kind == "language" and name.startswith("enc"):
        batch["decoder_input_ids"] = model.prepare_decoder_input_ids_from_labels(labels)
    logits = model(**batch).logits
    if wrapper.shift_labels:
        logits, labels = logits[:, :-1], labels[:, 1:]
    mask = labels != -100  # the loss reads no ignored row, not even to make logits of it
    torch.testing.assert_close(out["logits"][mask], logits[mask])
    hard = nn.functional.cross_entropy(logits.reshape(-1, num_labels), labels.reshape(-1))
    torch.testing.assert_close(wrapper.last_output.terms["hard"], hard.detach())


@pytest.mark.parametrize("name", MODELS)
def test_accumulated_micro_batches_give_the_gradients_of_one_large_batch(name: str, tmp_path: Path) -> None:
    make, kind, num_labels = MODELS[name]
    data = Rows(8, kind)

    def loss() -> nn.Module:
        torch.manual_seed(3)
        return LabelEmbeddingLoss(SIZE, num_labels, objective=Objective(reduction="token"))

    whole = gradients(tmp_path, make(), data, loss())
    options = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    parts = gradients(tmp_path, make(), data, loss(), **options)
    assert whole.keys() == parts.keys()
    for key, value in whole.items():
        torch.testing.assert_close(parts[key], value, rtol=1e-4, atol=1e-6, msg=lambda text, key=key: f"{key}: {text}")
    assert any(key.startswith("loss.") and value.abs().max() > 0 for key, value in whole.items())


def test_a_resumed_run_ends_bit_for_bit_as_an_uninterrupted_one(tmp_path: Path) -> None:
    data = Rows(24)

    def trainer(folder: Path) -> LabelEmbeddingTrainer:
        model = bert()
        torch.manual_seed(5)
        loss = LabelEmbeddingLoss(SIZE, LABELS)
        args = arguments(folder, max_steps=6, save_strategy="steps", save_steps=3)
        return LabelEmbeddingTrainer(model=model, args=args, train_dataset=data, loss=loss)

    whole = trainer(tmp_path / "a")
    whole.train()
    again = trainer(tmp_path / "b")
    again.train(resume_from_checkpoint=str(tmp_path / "a" / "checkpoint-3"))
    ours, theirs = whole.model.state_dict(), again.model.state_dict()
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert torch.equal(value, theirs[key]), key
    assert again.model.loss.steps == 6


def test_a_checkpoint_is_the_bare_model_and_the_loss_beside_it(tmp_path: Path) -> None:
    args = arguments(tmp_path, save_strategy="steps", save_steps=3)
    trainer = LabelEmbeddingTrainer(
        model=bert(id2label={n: f"intent {n}" for n in range(LABELS)}), args=args, train_dataset=Rows(24)
    )
    trainer.train()
    folder = tmp_path / "checkpoint-3"
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    for name, value in trainer.export().state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name
    from labelemb import LabelEmbedding

    embedding = LabelEmbedding.load(folder / "labels.safetensors")
    assert embedding.label_names == [f"intent {n}" for n in range(LABELS)]
    assert torch.equal(embedding.matrix(), trainer.label_embedding.matrix())
    (folder / "loss.safetensors").unlink()
    with pytest.raises(DataError, match="loss"):
        trainer.train(resume_from_checkpoint=str(folder))


def test_the_embedding_moves_at_the_rates_of_fine_tuning_and_does_not_decay(tmp_path: Path) -> None:
    args = arguments(tmp_path, learning_rate=5e-5, max_steps=30, weight_decay=0.5)
    trainer = LabelEmbeddingTrainer(model=bert(), args=args, train_dataset=Rows(24))
    trainer.train()
    group = next(
        g for g in trainer.optimizer.param_groups if any(p is trainer.label_embedding.weight for p in g["params"])
    )
    assert group["weight_decay"] == 0
    assert group["initial_lr"] == 1e-2
    assert (trainer.label_embedding.weight - torch.eye(LABELS)).abs().max() > 1e-3
    decayed = {id(p) for g in trainer.optimizer.param_groups if g["weight_decay"] for p in g["params"]}
    assert not decayed & {id(p) for p in trainer.model.loss.parameters()}
    assert trainer.model.loss.steps == 30
    logged = [line for line in trainer.state.log_history if "loss" in line]
    assert {"loss_hard", "loss_soft", "loss_aux", "loss_embedding", "loss_cap"} <= logged[0].keys()
    assert sum(logged[0][f"loss_{n}"] for n in ("hard", "soft", "aux", "embedding", "cap")) == pytest.approx(
        logged[0]["loss"], rel=1e-3
    )


@pytest.mark.parametrize(
    "loss",
    [None, LabelSmoothingLoss(0.1), OnlineLabelSmoothingLoss(LABELS)],
    ids=["label embedding", "smoothing", "ols"],
)
def test_the_evaluation_loss_is_plain_cross_entropy(loss: nn.Module | None, tmp_path: Path) -> None:
    model, data = bert(), Rows(16)
    trainer = LabelEmbeddingTrainer(
        model=model, args=arguments(tmp_path), train_dataset=data, eval_dataset=data, loss=loss
    )
    trainer.train()
    found = trainer.evaluate()
    with torch.no_grad():
        logits = model.eval()(input_ids=data.words).logits
    assert found["eval_loss"] == pytest.approx(float(nn.functional.cross_entropy(logits, data.labels)), rel=1e-5)


def test_a_mean_over_each_epoch_is_taken(tmp_path: Path) -> None:
    loss = OnlineLabelSmoothingLoss(LABELS)
    options = {"max_steps": -1, "num_train_epochs": 1, "learning_rate": 0.0}
    model, data = bert(), Rows(24)
    LabelEmbeddingTrainer(model=model, args=arguments(tmp_path, **options), train_dataset=data, loss=loss).train()
    with torch.no_grad():
        p = model.eval()(input_ids=data.words).logits.softmax(-1)
    for label in range(LABELS):
        right = p[(data.labels == label) & (p.argmax(-1) == label)]
        expected = right.mean(0) if len(right) else torch.zeros(LABELS)
        torch.testing.assert_close(loss.soft[label], expected)
    assert loss.soft.any()


def test_an_epoch_that_the_end_of_training_cuts_short_changes_no_mean(tmp_path: Path) -> None:
    losses = [OnlineLabelSmoothingLoss(LABELS) for _ in range(2)]
    for steps, loss in zip((3, 5), losses, strict=True):
        args = arguments(tmp_path, max_steps=steps, lr_scheduler_type="constant")
        LabelEmbeddingTrainer(model=bert(), args=args, train_dataset=Rows(24), loss=loss).train()
    assert torch.equal(losses[0].soft, losses[1].soft)
    losses[1].sync()
    assert losses[1].sums.any()


def test_a_resumed_mean_is_that_of_an_uninterrupted_training(tmp_path: Path) -> None:
    def trained(checkpoint: str | None) -> OnlineLabelSmoothingLoss:
        loss = OnlineLabelSmoothingLoss(LABELS)
        options = {"max_steps": -1, "num_train_epochs": 2, "save_strategy": "steps", "save_steps": 2}
        args = arguments(tmp_path, **options)
        trainer = LabelEmbeddingTrainer(model=bert(), args=args, train_dataset=Rows(24), loss=loss)
        trainer.train(resume_from_checkpoint=checkpoint)
        return loss

    whole = trained(None)
    again = trained(str(tmp_path / "checkpoint-2"))
    assert whole.soft.any()
    assert torch.equal(whole.soft, again.soft)


def test_an_objective_by_the_number_of_steps(tmp_path: Path) -> None:
    options = {"max_steps": -1, "num_train_epochs": 2}

    def trainer(objective: Any, **more: Any) -> Any:
        args = arguments(tmp_path, **options)
        return LabelEmbeddingTrainer(model=bert(), args=args, train_dataset=Rows(24), objective=objective, **more)

    decreasing = trainer(Objective.recommended)
    decreasing.train()
    assert decreasing.model.loss.objective == Objective.recommended(6)
    assert decreasing.label_embedding.soft_labels().shape == (LABELS, LABELS)
    fixed = trainer(Objective(tau=1.0))
    assert fixed.model.loss.objective.tau == 1.0
    with pytest.raises(ConfigError, match="objective: expected None where a loss is given"):
        trainer(Objective(), loss=LabelSmoothingLoss(0.1))


def test_a_second_training_begins_its_objective_anew(tmp_path: Path) -> None:
    options = {"objective": Objective.fine_tuning, "train_dataset": Rows(24)}
    trainer = LabelEmbeddingTrainer(model=bert(), args=arguments(tmp_path, max_steps=4), **options)
    for _ in range(2):
        trainer.train()
        assert trainer._loss.steps == 4
        assert trainer._loss.objective == Objective.fine_tuning(4)


def test_a_model_in_half_precision_trains_with_a_loss_in_fp32(tmp_path: Path) -> None:
    model = bert().bfloat16()
    args = arguments(tmp_path, max_steps=2, logging_steps=1)
    trainer = LabelEmbeddingTrainer(model=model, args=args, train_dataset=Rows(24))
    trainer.train()
    assert model.classifier.weight.dtype == torch.bfloat16
    assert trainer.label_embedding.weight.dtype == torch.float32
    whole = LabelEmbeddingTrainer(model=bert(), args=args, train_dataset=Rows(24))
    whole.train()
    found, expected = (each.state.log_history[0]["loss"] for each in (trainer, whole))
    assert found == pytest.approx(expected, rel=0.02)


def test_a_checkpoint_of_another_loss_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    options = {"save_strategy": "steps", "save_steps": 2}

    def trainer(loss: nn.Module | None = None) -> Any:
        args = arguments(tmp_path, **options)
        return LabelEmbeddingTrainer(model=bert(), args=args, train_dataset=Rows(24), loss=loss)

    trainer().train()
    checkpoint = tmp_path / "checkpoint-2"
    with pytest.raises(DataError, match="expected no such file for a LabelSmoothingLoss, which has no state, got one"):
        trainer(LabelSmoothingLoss(0.1)).train(resume_from_checkpoint=str(checkpoint))
    (checkpoint / "loss.safetensors").write_bytes(b"x" * 20)
    with pytest.raises(DataError, match=r"loss.safetensors: expected the state of a LabelEmbeddingLoss, got"):
        trainer().train(resume_from_checkpoint=str(checkpoint))


@pytest.mark.parametrize(
    ("objective", "found"),
    [
        ("fine_tuning", "'fine_tuning'"),
        (Objective, "<class"),  # would take the number of steps as tau
        (Objective.vision, "a function that takes other arguments"),
        (lambda steps: None, "a function that returns None"),
    ],
)
def test_an_objective_of_another_kind_is_refused(objective: Any, found: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"objective: expected an Objective, or a function .*, got {found}"):
        LabelEmbeddingTrainer(model=bert(), args=arguments(tmp_path), objective=objective)


@pytest.mark.parametrize("rate", ["fast", True, 0, float("nan")])
def test_a_learning_rate_of_another_kind_is_refused(rate: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="loss_lr: expected a learning rate > 0, or None, got"):
        LabelEmbeddingTrainer(model=bert(), args=arguments(tmp_path), loss_lr=rate)


def test_lora_with_a_trained_head(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="pip install peft")
    config = peft.LoraConfig(task_type="SEQ_CLS", target_modules=["query", "value"], modules_to_save=["classifier"])
    model = peft.get_peft_model(bert(), config)
    trainer = LabelEmbeddingTrainer(model=model, args=arguments(tmp_path), train_dataset=Rows(24))
    before = trainer.model.head.weight.clone()
    trainer.train()
    assert not torch.equal(before, trainer.model.head.weight)
    trainer.save_model(str(tmp_path / "out"))
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="label_smoothing_factor: expected 0"):
        LabelEmbeddingTrainer(model=bert(), args=arguments(tmp_path, label_smoothing_factor=0.1))
    with pytest.raises(ConfigError, match="head: expected .* one linear classifier"):
        LabelEmbeddingTrainer(model=transformers.BertModel(transformers.BertConfig(**SMALL)), args=arguments(tmp_path))
    with pytest.raises(ConfigError, match="head: expected a module of the model, or its name, got 3"):
        LabelEmbeddingTrainer(model=bert(), args=arguments(tmp_path), head=3)
    with pytest.raises(ConfigError, match="model: expected an nn.Module, .*, got NoneType"):
        LabelEmbeddingTrainer(args=arguments(tmp_path))
    with pytest.raises(ConfigError, match="labels: expected"):
        LossModel(bert(), LabelEmbeddingLoss(SIZE, LABELS))(input_ids=torch.ones(2, 3, dtype=torch.long))


def test_its_log_is_imported_as_a_run(tmp_path: Path) -> None:
    from labelemb.runs.importers import read_log

    def accuracy(found: Any) -> dict[str, float]:
        return {"accuracy": float((found.predictions.argmax(-1) == found.label_ids).mean())}

    options = {"eval_strategy": "epoch", "save_strategy": "epoch", "max_steps": -1, "num_train_epochs": 2}
    data = Rows(24)
    trainer = LabelEmbeddingTrainer(
        model=bert(),
        args=arguments(tmp_path, **options),
        train_dataset=data,
        eval_dataset=data,
        compute_metrics=accuracy,
    )
    trainer.train()
    lines = read_log(tmp_path)
    logged = [line for line in trainer.state.log_history if "eval_accuracy" in line]
    assert [line["valid_error"] for line in lines] == pytest.approx(
        [100 * (1 - line["eval_accuracy"]) for line in logged]
    )
    assert [(line["epoch"], line["step"]) for line in lines] == [(1, 3), (2, 6)]
