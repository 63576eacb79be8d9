"""What answers are made of. `antiphon.types` has the names that programs use."""
