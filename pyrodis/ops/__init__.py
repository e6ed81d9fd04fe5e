"""pyrodis.ops"""
