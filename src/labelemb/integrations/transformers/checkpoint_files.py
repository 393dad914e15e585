"""Files of the loss in a checkpoint of ``Trainer``: its state, and the label embedding with the names of its labels."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from labelemb.errors import DataError
from labelemb.files import write_atomically
from labelemb.losses.base import Loss
from labelemb.losses.loss_model import LossModel
from labelemb.terms.embedding import LabelEmbedding

LOSS_FILE = "loss.safetensors"
LABELS_FILE = "labels.safetensors"


def label_names_of(model: nn.Module, num_labels: int) -> list[str] | None:
    """Return the label names in a model's config (``id2label``), or None if they are not one per label."""
    names = getattr(getattr(model, "config", None), "id2label", None) or {}
    return [str(names[number]) for number in range(num_labels)] if set(names) == set(range(num_labels)) else None


def save_loss(wrapper: LossModel, folder: Path) -> None:
    """Write the state of the loss, if it has any, and its label embedding, if it learns one."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in wrapper.loss.state_dict().items()}
    if tensors:
        content = save(tensors)
        write_atomically(folder / LOSS_FILE, lambda file: file.write(content))
    embedding = getattr(wrapper.loss, "embedding", None)
    if isinstance(embedding, LabelEmbedding):
        embedding.save(folder / LABELS_FILE, label_names_of(wrapper.model, embedding.num_labels))


def load_loss(loss: Loss, folder: Path) -> None:
    """Restore the loss of a checkpoint.

    Raises:
        DataError: Where the checkpoint holds none, or that of another loss.
    """
    file = folder / LOSS_FILE
    if not loss.state_dict():
        if file.is_file():
            hint = "Resume with the loss that this checkpoint was written with"
            raise DataError(str(file), f"no such file for a {type(loss).__name__}, which has no state", "one", hint)
        return
    if not file.is_file():
        raise DataError(
            str(file), "the state of the loss", "no such file", "Was this checkpoint written by this trainer?"
        )
    try:
        loss.load_state_dict(load_file(file))
    except (RuntimeError, OSError, ValueError, SafetensorError) as error:
        raise DataError(str(file), f"the state of a {type(loss).__name__}", " ".join(str(error).split())) from error
