"""Campaigns: many attacks on many images, on many cores or machines, that survive anything."""
