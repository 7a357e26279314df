"""The nouns that two or more stages share. A module imports only from lower levels.

 0  errors
 1  access batches config csvfiles files scores summary terms
 2  checks columns decision drift hats history idle ledger packages scorecard synthetic
 3  alerting live model stored survey
 4  clienttable delivery
 5  merging profile suggestion
 6  clients
 7  champion cli
 8  ingestion training scoring deployment diagnostics reporting apicalls
 9  fullprocess app
10  wsgi

What stands from level 8 on are the scripts at the top of the project. A test keeps this true.
"""
