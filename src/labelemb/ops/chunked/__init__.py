"""The objective a chunk of rows at a time: memory does not grow with N x V.

Reading order: ``driver`` (one batch from end to end), ``batch_pass`` (what happens to a chunk), then what they are made
of: ``chunks`` (how rows are cut), ``layers`` and ``embeddings`` (matrix products), ``row_kernels`` and
``torch_kernels`` (softmaxes and gradients of rows).
"""
