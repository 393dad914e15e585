"""The objective a chunk of rows at a time: memory does not grow with N x V."""
