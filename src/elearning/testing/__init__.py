"""The test kit: factories, and fixtures over real databases (extra ``testing``)."""
