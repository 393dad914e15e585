"""What stands beside the method: other ways to soften a label. A file each; all are ``RowLoss``."""
