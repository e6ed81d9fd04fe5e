"""pyrodis.metrics"""
