"""How the label-embedding objective is computed."""
