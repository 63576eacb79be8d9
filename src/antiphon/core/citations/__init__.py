"""Citations: documents cut into numbered pieces, and answers that cite these pieces.

`sources` numbers the pieces for the model, `marks` takes the numbers out of its answer, `quotes`
finds quotes without a number, and `claims` turns both into passages with citations.
"""
