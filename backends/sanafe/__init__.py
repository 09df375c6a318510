"""SANA-FE in a separate worker process: an emulator, and a cross-check of energy estimates."""
