"""Comparison of the profile ``loihi1`` with the emulator of nengo-loihi."""
