"""pyrodis.infer"""
