"""How the price book of the package is made. Never deployed."""
