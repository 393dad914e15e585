"""What image and text classification share: splits, label matching, evaluation, the loss, trained models."""
