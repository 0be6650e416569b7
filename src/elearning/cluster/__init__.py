"""The databases as a whole: embedded servers, replication between them, health, recovery."""
