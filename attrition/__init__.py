"""The nouns that two or more stages share. A module imports only from lower levels.

 0  errors
 1  access batches blocks census charts clock config figures files handbook parameters phrases
 1  plaincsv progress reference schemas scores spreadsheet summary terms
 2  checks clientbook columns csvfiles decision drift hats history htmlreport idle ledger overview
 2  packages pdfreport performance replies scorecard synthetic
 3  alerting cardfigures cli clientquery evaluation impact model operations portrait problems
 3  reasons stored survey
 4  clienttable datafigures delivery live modelfigures ranking recovery
 5  bookkeeping clientlist material merging profile risklist serving suggestion
 6  answers changestory clients clientstory commits datastory diagnosticstext gallery gathering
 6  metrics modelstory pages
 7  calllist champion clientroutes health openapi predicting story
 8  ingestion training scoring deployment diagnostics reporting apicalls
 9  fullprocess app
10  wsgi

What stands from level 8 on are the scripts at the top of the project. A test keeps this true.
"""
