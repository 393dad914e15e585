"""The published command line: python3 cnn.py --mode=baseline, python3 cnn.py --mode=emb. Outputs in ./cnn_results.

--tau --alpha --beta --batch_size --learning_rate --data_dir and --num (the number of the run: its seed) as published,
and any other option of the preset mnist-cnn besides.
"""

import sys

from labelemb.cli.published import train_images

if __name__ == "__main__":
    sys.exit(train_images(preset="mnist-cnn", out="./cnn_results"))
