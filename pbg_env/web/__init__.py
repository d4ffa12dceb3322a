"""The page on which a person answers."""
