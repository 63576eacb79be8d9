"""JSON Schema as functions of values: what the API allows, the check, examples, grammars."""
