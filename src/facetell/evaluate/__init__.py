"""Judging: any predictor and any labelled dataset -> an Evaluation."""
