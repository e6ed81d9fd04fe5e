"""pyrodis.regularizers"""
