"""The database: SQLite or PostgreSQL, its transactions, its tables and their migrations."""
