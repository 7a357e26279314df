"""The nouns that two or more stages share. A module imports only from lower levels.

 0  errors
 1  access batches blocks census charts clock figures files handbook parameters phrases plaincsv
 1  progress reference schemas scores scratch sparksettings sparkstorage spreadsheet summary terms
 2  clientbook columns config csvfiles decision drift hats history htmlreport ledger overview
 2  pdfreport performance replies scorecard sparksession synthetic
 3  alerting cardfigures checks clientquery datafiles evaluation idle impact model operations
 3  packages portrait problems reasons sparkaxes sparkscore survey
 4  cli datafigures delivery live modelfigures ranking recovery sparkmodel stored
 5  bookkeeping clientlist clienttable material risklist serving
 6  answers changestory clientstory datastory gallery gathering merging metrics modelstory pages
 6  profile sparkintake suggestion
 7  clientroutes clients commits diagnosticstext health openapi predicting story
 8  intake lesson sparkrows
 9  sparkcommits sparklesson sparkprofile
10  sparkengine
11  engine
12  calllist champion
13  ingestion training scoring deployment diagnostics reporting apicalls
14  fullprocess app
15  wsgi

What stands from level 13 on are the scripts at the top of the project. A test keeps this true.
"""
