"""Seeded noise by row, checks of user input, and other things that every part leans on."""
