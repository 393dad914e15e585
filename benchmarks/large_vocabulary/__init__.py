"""The loss of a large vocabulary, forward and backward: eager, chunked, fused, and plain cross entropy.

workloads.py     sizes and tensors
programs.py      programs that compute it
measurements.py  time, errors and memory of each
__main__.py      command line
"""
