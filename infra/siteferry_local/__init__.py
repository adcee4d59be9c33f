"""The local stack: the unmodified template on an emulator, a real FTP server and the agent."""
