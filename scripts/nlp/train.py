"""The published command line: python3 train.py -gpus 0 -config lcsts.yaml -unk -score emb -loss emb -log NAME.

-restore -limit -notrain -seed as published; -loss '' -score '' (or neither) is the one-hot baseline. Outputs in
LOG/NAME, LOG from the config.
"""

import sys

from labelemb.cli.published import train_text

if __name__ == "__main__":
    sys.exit(train_text())
