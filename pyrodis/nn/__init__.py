"""pyrodis.nn"""
