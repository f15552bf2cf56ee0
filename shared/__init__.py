"""What devices, the aggregator and the simulation all need, and the language they speak.

It imports none of the other packages, and knows not on which side it runs.
"""
