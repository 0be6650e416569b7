"""Payments, and what is paid with."""
