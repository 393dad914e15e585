"""The published command line: python3 mlp.py --mode=baseline, python3 mlp.py --mode=emb. Outputs in ./mlp_results.

--tau --alpha --beta --batch_size --learning_rate --data_dir and --num (the number of the run: its seed) as published,
and any other option of the preset mnist-mlp besides.
"""

import sys

from labelemb.cli.published import train_images

if __name__ == "__main__":
    sys.exit(train_images(preset="mnist-mlp", out="./mlp_results"))
