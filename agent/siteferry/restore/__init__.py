"""The way back: from bucket and index to a tree on disk."""
