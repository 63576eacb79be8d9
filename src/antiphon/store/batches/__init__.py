"""Message Batches in the database: functions over a connection, in their caller's transaction."""
