"""Where nodes run and what they need there."""
