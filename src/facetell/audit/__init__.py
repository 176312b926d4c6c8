"""What is wrong with a dataset: copies, conflicting labels, leaks, images that are no face."""
