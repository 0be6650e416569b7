"""The catalogue: courses and what they are made of, edited, searched and listed."""
