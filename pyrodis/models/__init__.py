"""pyrodis.models"""
