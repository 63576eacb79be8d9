"""What requests name or contain beside text: URLs, documents."""
