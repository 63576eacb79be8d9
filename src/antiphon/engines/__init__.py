"""What answers: models behind one small protocol."""
