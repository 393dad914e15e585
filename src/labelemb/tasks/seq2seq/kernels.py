"""What decoding does between its matrix products: in C for fp32 on a CPU with a C compiler, else in PyTorch.

N hypotheses, V target words, D hidden size.
"""

from collections.abc import Callable
from ctypes import c_int64

import torch
import torch.nn.functional as F
from torch import Tensor

from labelemb.ops.native.library import load_library, pointer
from labelemb.ops.parts import cut_evenly, in_parts

BLOCK = 64  # words per maximum of ``finish_logits``; as in ops/native/decoding.c
ROWS_PER_THREAD = 64  # a thread for fewer rows takes longer to start than to run


def lstm_cell(
    from_hidden: Tensor, parents: Tensor, from_input: Tensor, inputs: Tensor, cell: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute the state of an LSTM layer from its matrix products.

    The gates of hypothesis i, in the order of ``nn.LSTM``, are ``from_hidden[parents[i]] + from_input[inputs[i]]``.

    Args:
        from_hidden: Products with the hidden states before, `(P, 4 D)`.
        parents: Row of ``from_hidden`` and of ``cell`` for each hypothesis, int64 `(N,)`.
        from_input: Products with the inputs, and both biases, `(M, 4 D)`.
        inputs: Row of ``from_input`` for each hypothesis, int64 `(N,)`.
        cell: Cell states before, `(P, D)`.

    Returns:
        Hidden states and cell states, `(N, D)` each.
    """
    library = load_library() if _is_native(from_hidden, from_input, cell) else None
    if library is None:
        gates = from_hidden.index_select(0, parents) + from_input.index_select(0, inputs)
        input_gate, forget_gate, candidate, output_gate = gates.chunk(4, dim=1)
        new_cell = forget_gate.sigmoid_() * cell.index_select(0, parents)
        new_cell.addcmul_(input_gate.sigmoid_(), candidate.tanh_())
        return output_gate.sigmoid_() * new_cell.tanh(), new_cell
    hidden, new_cell = (cell.new_empty(len(parents), cell.shape[1]) for _ in range(2))

    def work(rows: slice) -> None:
        library.labelemb_lstm_cell(
            pointer(from_hidden), pointer(parents[rows]), pointer(from_input), pointer(inputs[rows]), pointer(cell),
            c_int64(rows.stop - rows.start), c_int64(cell.shape[1]), pointer(hidden[rows]), pointer(new_cell[rows]),
        )  # fmt: skip

    _on_all_threads(work, len(parents))
    return hidden, new_cell


def finish_logits(logits: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Add the bias of the head in place; return the log-sum-exp over words, and maxima of blocks of words.

    Args:
        logits: Logits without bias, `(N, V)`, contiguous; changed.
        bias: Bias of each word, `(V,)`.

    Returns:
        Normalizers, `(N,)`, and the largest logit of each ``BLOCK`` consecutive words, `(N, ceil(V / BLOCK))`.
    """
    library = load_library() if _is_native(logits, bias) else None
    if library is None:
        return _finish_logits(logits, bias)
    count, words = logits.shape
    normalizers, maxima = logits.new_empty(count), logits.new_empty(count, -(-words // BLOCK))

    def work(rows: slice) -> None:
        library.labelemb_finish_logits(
            pointer(logits[rows]), pointer(bias), c_int64(rows.stop - rows.start), c_int64(words),
            pointer(normalizers[rows]), pointer(maxima[rows]),
        )  # fmt: skip

    _on_all_threads(work, count)
    return normalizers, maxima


def _finish_logits(logits: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """``finish_logits`` in PyTorch, on a CPU in chunks of rows that fit into the cache.

    Exponentials below the smallest normal number would make it many times slower, as they do ``torch.logsumexp``:
    differences from the maximum below -80, which do not change a sum of at least 1 even in float64, are raised to -80.
    """
    sums = []
    for chunk in torch.split(logits, 1 + 2**17 // logits.shape[1]) if logits.is_cpu else (logits,):
        chunk += bias
        highest = chunk.amax(dim=1, keepdim=True)
        differences = (chunk - highest).clamp_(min=-80.0)
        sums.append(differences.exp_().sum(dim=1).log_() + highest[:, 0])
    return torch.cat(sums), F.max_pool1d(logits[None], BLOCK, ceil_mode=True)[0]


def _is_native(*tensors: Tensor) -> bool:
    return all(one.is_cpu and one.dtype == torch.float32 and one.is_contiguous() for one in tensors)


def _on_all_threads(work: Callable[[slice], None], count: int) -> None:
    """Share rows between the threads of torch."""
    threads = min(torch.get_num_threads(), 1 + count // ROWS_PER_THREAD)
    in_parts(lambda _, rows: work(rows), cut_evenly(count, threads))
