"""The notation of calls: learned from a chat template, proven, written and read."""
