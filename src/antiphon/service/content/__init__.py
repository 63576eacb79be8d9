"""Content of requests beside text: URLs and documents."""
