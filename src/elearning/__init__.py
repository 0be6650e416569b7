"""The data layer of an e-learning platform in six world regions.

PostgreSQL is sharded by region, each shard a primary with streaming replicas;
MongoDB holds lesson content and preferences. Start with `elearning.flows.Platform`.
"""
