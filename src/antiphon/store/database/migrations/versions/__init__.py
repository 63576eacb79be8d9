"""One file for each change of the schema, in order; a released file is never edited."""
