"""pyrodis.guides"""
