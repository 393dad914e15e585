"""The published command line: python3 preprocess.py -train_src .. -train_tgt .. -save_data .. -lower -share.

-valid_src -valid_tgt -test_src -test_tgt -char -src_vocab_size -tgt_vocab_size -src_vocab -tgt_vocab -src_length
-tgt_length -shuffle -seed -report_every as published. -save_data names the folder that is written.
"""

import sys

from labelemb.cli.published import preprocess_text

if __name__ == "__main__":
    sys.exit(preprocess_text())
