"""Share label embeddings: a folder, or a repository of the Hugging Face Hub, with a model card."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelemb.errors import ConfigError, DataError
from labelemb.files import write_text

if TYPE_CHECKING:
    from labelemb.terms.embedding import LabelEmbedding

FILE = "label_embedding.safetensors"
CARD = "README.md"
SHOWN_LABELS = 20


def write_folder(embedding: "LabelEmbedding", folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the embedding and its model card into a folder."""
    embedding.save(folder / FILE)
    write_text(folder / CARD, model_card(embedding, facts))


def model_card(embedding: "LabelEmbedding", facts: Mapping[str, Any]) -> str:
    """Return the text of the model card.

    Args:
        embedding: The label embedding.
        facts: What to state, such as data, method, agreement with people, and metrics: name -> value.
    """
    lines = ["---", "library_name: labelemb", "tags: [label-embedding, soft-labels]", "---", "# Label embedding", ""]
    lines += [f"A learned soft label for each of {embedding.num_labels} labels ({embedding.kind}).", ""]
    if facts:
        lines += [
            "| | |",
            "| --- | --- |",
            *(f"| {_cell(name)} | {_cell(value)} |" for name, value in facts.items()),
            "",
        ]
    lines += [
        "```python",
        "from labelemb import LabelEmbedding",
        "",
        'embedding = LabelEmbedding.from_pretrained("REPOSITORY")',
    ]
    lines += ["embedding.soft_labels()  # (V, V)", "```", ""]
    if embedding.label_names:
        shown = embedding.label_names[:SHOWN_LABELS]
        more = f", and {embedding.num_labels - len(shown)} more" if embedding.num_labels > len(shown) else ""
        lines += ["Labels: " + ", ".join(map(_cell, shown)) + more, ""]
    return "\n".join(lines)


def find_file(source: str | Path) -> Path:
    """Return the embedding file of a folder, or download it from a repository of the Hub.

    Raises:
        ConfigError: Without huggingface_hub.
        DataError: For a folder without the file, and a repository that cannot be read.
    """
    folder = Path(source)
    if folder.is_dir():
        if not (folder / FILE).is_file():
            raise DataError(
                str(folder), f"a folder with {FILE}", "none", "embedding.save_pretrained(folder) writes one"
            )
        return folder / FILE
    hub = _hub()
    try:
        return Path(hub.hf_hub_download(str(source), FILE))
    except Exception as error:  # the network, the Hub and invalid names
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(str(source), "a folder, or a repository of the Hub with a label embedding", reason) from error


def push(embedding: "LabelEmbedding", repository: str, facts: Mapping[str, Any], private: bool) -> str:
    """Create the repository if need be, upload embedding and card, and return its address.

    Raises:
        ConfigError: Without huggingface_hub.
        DataError: Where the Hub refuses.
    """
    import tempfile

    hub = _hub()
    with tempfile.TemporaryDirectory() as folder:
        write_folder(embedding, Path(folder), facts)
        try:
            hub.create_repo(repository, private=private, exist_ok=True)
            return str(hub.upload_folder(repo_id=repository, folder_path=folder))
        except Exception as error:  # the network, the Hub, a missing token
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            hint = "Log in with `hf auth login`, or use save_pretrained(folder)"
            raise DataError(repository, "a repository of the Hub that can be written", reason, hint) from error


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise ConfigError("huggingface_hub", "the package", "none", "pip install huggingface_hub") from error
    return huggingface_hub


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
