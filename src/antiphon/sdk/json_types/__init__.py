"""Python types as JSON: the schema that describes one, and the values that JSON becomes."""
