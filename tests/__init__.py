"""The tests; a package, so that a folder of this name elsewhere cannot take its place."""
