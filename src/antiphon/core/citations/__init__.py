"""Citations: documents cut into numbered pieces, and the pieces found again in what is said.

`sources` numbers the pieces for the model, `marks` takes the numbers out of its answer, `quotes`
finds what it quotes without saying so, and `claims` turns both into passages with citations.
"""
