"""The published command lines: python3 cifar10.py --mode=baseline and --mode=emb. Outputs in ./10_results.

--tau --alpha --beta --lr --data, --num (the number of the run: its seed) and --resume or -r as published, and any other
key of the preset cifar10-resnet8 besides, such as --epochs 1 --width 16.
"""

import sys

from labelemb.cli.published import train_images

if __name__ == "__main__":
    sys.exit(train_images(preset="cifar10-resnet8", out="./10_results"))
