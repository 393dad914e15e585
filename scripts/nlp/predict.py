"""The published command line: python3 predict.py -gpus 0 -config lcsts.yaml -unk -score emb -restore CHECKPOINT.

Writes prediction.txt beside the checkpoint, and prints the scores of the test text with their signatures.
"""

import sys

from labelemb.cli.published import predict_text

if __name__ == "__main__":
    sys.exit(predict_text())
