"""The content of requests besides text: URLs and documents."""
