"""How the label-embedding objective is computed: eager (the definition), chunked and fused, and their choice."""
