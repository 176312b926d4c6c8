"""Training: batches, augmentation, one visible loop, checkpoints."""
