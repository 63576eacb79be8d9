"""Snapshots: the KV of prefixes, saved by llama.cpp in files, for other slots and later runs."""
