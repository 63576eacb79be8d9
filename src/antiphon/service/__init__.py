"""Use cases, which combine rules, engines and the store."""
