"""pyrodis.plotting"""
