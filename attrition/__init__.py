"""The nouns that two or more stages share. A module imports only from lower levels.

 0  errors
 1  access batches census clock config files reference scores spreadsheet summary terms
 1  charts handbook parameters phrases plaincsv schemas
 2  checks clientbook csvfiles datafiles decision drift hats history idle ledger packages
 2  columns overview performance replies scorecard synthetic
 3  alerting clientquery impact model operations portrait problems reasons stored survey
 4  clienttable delivery live ranking recovery
 5  clientlist merging profile risklist serving suggestion
 6  bookkeeping clients commits metrics pages
 7  answers champion cli clientroutes health openapi predicting
 8  ingestion training scoring deployment diagnostics reporting apicalls
 9  fullprocess app
10  wsgi

What stands from level 8 on are the scripts at the top of the project. A test keeps this true.
"""
