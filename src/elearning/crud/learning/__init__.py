"""What students do in a course, and what they have to show for it."""
