"""The loss of a large vocabulary, forward and backward: eager, chunked, fused, and plain cross entropy beside them.

workloads.py  what is computed
peers.py      programs that compute it
measures.py   time, errors and memory of each
__main__.py   the command line
"""
