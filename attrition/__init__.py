"""The nouns that two or more stages share. A module imports only from lower levels.

 0  errors
 1  access batches blocks census clock config figures files phrases progress reference scores
 1  summary terms
 2  checks columns csvfiles decision drift hats history htmlreport idle ledger packages pdfreport
 2  performance scorecard synthetic
 3  alerting cardfigures cli evaluation impact live model reasons stored survey
 4  clienttable datafigures delivery modelfigures ranking recovery
 5  material merging profile risklist suggestion
 6  changestory clients clientstory commits datastory diagnosticstext gallery gathering modelstory
 7  calllist champion story
 8  ingestion training scoring deployment diagnostics reporting apicalls
 9  fullprocess app
10  wsgi

What stands from level 8 on are the scripts at the top of the project. A test keeps this true.
"""
