"""The RPCs as functions of a transaction and a request.

``rpcs.py`` lists them; ``dispatch.py`` runs one in its transaction. A function answers with the response
message, or with its bytes where these are at hand.
"""
