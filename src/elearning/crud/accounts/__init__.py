"""Accounts: who somebody is, and how they are let in."""
