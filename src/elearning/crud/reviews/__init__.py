"""What students think of a course."""
