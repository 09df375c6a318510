"""Campaigns: many attacks on many images, parallel and resumable."""
