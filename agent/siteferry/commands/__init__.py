"""What each command does, by module: imported only when it runs, since some are slow to import."""
