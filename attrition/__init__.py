"""The nouns that two or more stages share. A module imports only from lower levels.

 0  errors
 1  access batches blocks census charts clock files handbook historyfile leakage parameters
 1  phrases plaincsv progress reference schemas scores scratch sparksettings sparkstorage
 1  spreadsheet terms
 2  clientbook columns config csvfiles decision figures hats history homogeneity htmlreport ledger
 2  overview pdfreport performance replies scorecard sparksession summary synthetic
 3  alerting cardfigures checks clientquery compatibility confusionfigure datafiles drift
 3  evaluation idle impact model operations packages pairfigures portrait problems reasons
 3  rehearsal sparkaxes sparkscore survey
 4  cli datafigures delivery live modelfigures ranking recovery runfigures sparkmodel stored
 5  bookkeeping clientlist clienttable holdout material outcomes risklist serving
 6  answers clientstory datastory driftstory gallery gathering merging metrics modelstory pages
 6  profile sparkintake suggestion
 7  changestory clientroutes clients commits cutrows diagnosticstext health openapi predicting
 7  rebuilding
 8  intake lesson shortcut sparkrows story
 9  sparkcommits sparklesson sparkprofile
10  sparkengine
11  engine
12  calllist champion testrows
13  ingestion training scoring deployment diagnostics reporting apicalls
14  fullprocess app
15  wsgi

What stands from level 13 on are the scripts at the top of the project. A test keeps this true.
"""
