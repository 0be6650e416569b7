"""Data from outside: the sample catalog, and foreign data sets."""
