"""Jobs: what runners and operators do to them, and how they are found."""
