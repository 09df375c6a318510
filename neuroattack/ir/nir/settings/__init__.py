"""Settings of an import that NIR does not define, and their sources."""
