"""Use cases, where rules, engines and the store meet."""
