"""What every part leans on: seeded noise by row, and checks of what users pass in."""
