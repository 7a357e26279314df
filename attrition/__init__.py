"""The nouns that two or more stages share. A module imports only from lower levels.

 0  errors
 1  access batches census clock config files reference scores scratch summary
 1  terms
 2  checks columns csvfiles decision drift hats history idle ledger packages performance scorecard
 2  synthetic
 3  alerting impact live model reasons stored survey
 4  clienttable delivery ranking recovery
 5  merging profile risklist suggestion
 6  clients commits
 7  champion cli
 8  ingestion training scoring deployment diagnostics reporting apicalls
 9  fullprocess app
10  wsgi

What stands from level 8 on are the scripts at the top of the project. A test keeps this true.
"""
