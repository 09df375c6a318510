"""Emulator of Loihi 1 that is part of nengo-loihi, in a separate worker process."""
