"""Who has a place in a course, and who waits for one."""
