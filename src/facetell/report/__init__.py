"""Evaluations as files for people."""
