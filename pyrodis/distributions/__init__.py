"""pyrodis.distributions"""
