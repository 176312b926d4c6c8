"""Images -> faces: find them, cut them out upright."""
