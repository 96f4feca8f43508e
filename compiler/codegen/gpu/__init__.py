"""What the targets for devices share, free of either's syntax: grid plans and launch lists."""
