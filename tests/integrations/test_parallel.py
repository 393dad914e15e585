"""LossModel in two processes, under DistributedDataParallel and fully_shard, against one process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.processes import spawn

SCRIPT = """
import sys, torch, torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from labelemb import LabelEmbeddingLoss, LossModel, Objective

kind, impl, out = sys.argv[1:]
dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5)).double()
loss = LabelEmbeddingLoss(8, 5, objective=Objective(reduction="token"), impl=impl).double()
model = LossModel(net, loss)
if kind == "ddp":
    wrapped = DistributedDataParallel(model)
else:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    mesh = init_device_mesh("cpu", (world,))
    if kind == "fsdp-head":
        fully_shard(net[2], mesh=mesh)
    wrapped = fully_shard(model, mesh=mesh)
optimizer = torch.optim.SGD([p for n, p in model.named_parameters() if not n.startswith("loss.")], lr=0.1)
loss.attach(optimizer, lr=0.1)
images, labels = torch.randn(2, 13, 6, dtype=torch.float64), torch.randint(0, 5, (2, 13))
labels[:, :2] = -100
cuts = [slice(0, 9), slice(9, None)] if world == 2 else [slice(None)]
for step in range(2):
    value = wrapped(images[step, cuts[rank]], labels=labels[step, cuts[rank]])["loss"]
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
state = {n: (p.full_tensor() if hasattr(p, "full_tensor") else p).detach() for n, p in model.named_parameters()}
if rank == 0:
    torch.save({**state, "steps": torch.tensor(loss.steps)}, out)
dist.barrier()
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def one_process(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    folder = tmp_path_factory.mktemp("one")
    (folder / "train.py").write_text(SCRIPT)
    spawn(1, str(folder / "train.py"), "ddp", "eager", str(folder / "one.pt"))
    found: dict[str, torch.Tensor] = torch.load(folder / "one.pt", weights_only=True)
    return found


@pytest.mark.parametrize(
    ("kind", "impl"),
    [
        ("ddp", "eager"),
        ("ddp", "chunked"),
        ("fsdp", "eager"),
        ("fsdp", "chunked"),
        ("fsdp-head", "eager"),
        ("fsdp-head", "chunked"),
    ],
)
def test_two_processes_train_as_one(kind: str, impl: str, one_process: dict[str, torch.Tensor], tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    spawn(2, str(script), kind, impl, str(tmp_path / "two.pt"))
    two = torch.load(tmp_path / "two.pt", weights_only=True)
    assert one_process.keys() == two.keys()
    for name, value in one_process.items():
        torch.testing.assert_close(
            two[name], value, rtol=1e-10, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}"
        )


TRAINER = """
import sys, torch, transformers
from labelemb import LabelEmbeddingLoss, Objective
from labelemb.integrations.transformers import LabelEmbeddingTrainer

size, accumulation, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.manual_seed(0)
config = transformers.BertConfig(
    vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
    num_labels=5, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
)
model = transformers.BertForTokenClassification(config)
loss = LabelEmbeddingLoss(16, 5, objective=Objective(reduction="token"))
words = torch.randint(1, 40, (16, 6), generator=torch.Generator().manual_seed(1))
labels = torch.where(torch.arange(6) < torch.randint(2, 7, (16, 1)), words % 5, -100)
rows = [{"input_ids": w, "attention_mask": torch.ones(6, dtype=torch.long), "labels": l} for w, l in zip(words, labels)]
args = transformers.TrainingArguments(
    out + ".folder", per_device_train_batch_size=size, gradient_accumulation_steps=accumulation, max_steps=1,
    optim="sgd", learning_rate=1.0, lr_scheduler_type="constant", max_grad_norm=0.0, use_cpu=True, report_to=[],
    save_strategy="no", disable_tqdm=True, ddp_backend="gloo",
)
trainer = LabelEmbeddingTrainer(model=model, args=args, train_dataset=rows, loss=loss)
trainer.train()
if trainer.is_world_process_zero():
    torch.save({n: p.detach() for n, p in trainer.accelerator.unwrap_model(trainer.model).named_parameters()}, out)
"""


@pytest.mark.parametrize(("processes", "size", "accumulation"), [(2, 8, 1), (2, 2, 4)])
def test_the_trainer_in_two_processes_takes_the_step_of_one_large_batch(
    processes: int, size: int, accumulation: int, tmp_path: Path
) -> None:
    pytest.importorskip("transformers")
    script = tmp_path / "train.py"
    script.write_text(TRAINER)
    spawn(1, str(script), "16", "1", str(tmp_path / "one.pt"))
    spawn(processes, str(script), str(size), str(accumulation), str(tmp_path / "two.pt"))
    one, two = (torch.load(tmp_path / name, weights_only=True) for name in ("one.pt", "two.pt"))
    for name, value in one.items():
        torch.testing.assert_close(
            two[name], value, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )


MEAN = """
import sys, torch, transformers
from safetensors.torch import load_file
from labelemb import OnlineLabelSmoothingLoss
from labelemb.integrations.transformers import LabelEmbeddingTrainer

size, out = int(sys.argv[1]), sys.argv[2]
torch.manual_seed(0)
config = transformers.BertConfig(
    vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_labels=5,
    hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
)
model = transformers.BertForSequenceClassification(config)
words = torch.randint(1, 40, (32, 6), generator=torch.Generator().manual_seed(1))
rows = [{"input_ids": w, "labels": w[0] % 5} for w in words]
args = transformers.TrainingArguments(
    out + ".folder", per_device_train_batch_size=size, max_steps=6, learning_rate=0.0, use_cpu=True, report_to=[],
    save_strategy="steps", save_steps=6, disable_tqdm=True, ddp_backend="gloo",
)
LabelEmbeddingTrainer(model=model, args=args, train_dataset=rows, loss=OnlineLabelSmoothingLoss(5)).train()
if args.process_index == 0:
    torch.save(load_file(out + ".folder/checkpoint-6/loss.safetensors"), out)
"""


def test_the_trainer_in_two_processes_takes_the_mean_of_one(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    script = tmp_path / "train.py"
    script.write_text(MEAN)
    spawn(1, str(script), "8", str(tmp_path / "one.pt"))  # an epoch and a half: soft labels, and sums of the second
    spawn(2, str(script), "4", str(tmp_path / "two.pt"))
    one, two = (torch.load(tmp_path / name, weights_only=True) for name in ("one.pt", "two.pt"))
    assert one["soft"].any()
    assert one["sums"].any()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-6)


LIGHTNING = """
import sys, lightning, torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from labelemb import OnlineLabelSmoothingLoss
from labelemb.integrations.lightning import LabelEmbeddingCallback

devices, out = int(sys.argv[1]), sys.argv[2]


class Classifier(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head, self.loss = nn.Linear(6, 8), nn.Linear(8, 5), OnlineLabelSmoothingLoss(5)

    def training_step(self, batch, number):
        return self.loss(self.body(batch[0]), self.head, batch[1]).loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.5)


generator = torch.Generator().manual_seed(1)
data = TensorDataset(torch.randn(40, 6, generator=generator), torch.randint(0, 5, (40,), generator=generator))
quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
strategy = "ddp" if devices > 1 else "auto"
module, callbacks = Classifier(), [LabelEmbeddingCallback()]
trainer = lightning.Trainer(
    accelerator="cpu", devices=devices, strategy=strategy, max_epochs=4, callbacks=callbacks, **quiet
)
trainer.fit(module, DataLoader(data, batch_size=40 // devices))
if trainer.is_global_zero:
    torch.save({name: value for name, value in module.state_dict().items() if isinstance(value, torch.Tensor)}, out)
"""


def test_lightning_in_two_processes_trains_as_one(tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    script = tmp_path / "train.py"
    script.write_text(LIGHTNING)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    for devices in ("1", "2"):
        command = [sys.executable, str(script), devices, str(tmp_path / f"{devices}.pt")]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200)
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (torch.load(tmp_path / name, weights_only=True) for name in ("1.pt", "2.pt"))
    assert one["loss.soft"].sum() > 0
    for name, value in one.items():
        torch.testing.assert_close(
            two[name], value, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )
