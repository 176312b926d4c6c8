"""Clips, cameras and streams: read frame by frame, and written."""
