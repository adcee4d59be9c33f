"""The agent: scans a tree that people change over FTP, and publishes what differs from the index."""

__version__ = "0.1.0"
