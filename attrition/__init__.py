"""The nouns that two or more stages share. A module imports only from lower levels.

 0  errors sparksettings
 1  access batches census clock config files reference scores sparksession sparkstorage summary
 1  terms
 2  checks columns csvfiles decision drift hats history idle ledger packages performance scorecard
 2  synthetic
 3  alerting impact live model reasons sparkaxes sparkscore stored survey
 4  clienttable delivery ranking recovery sparkmodel
 5  merging profile risklist sparkintake suggestion
 6  clients commits
 7  cli intake lesson sparkrows
 8  sparkcommits sparklesson sparkprofile
 9  sparkengine
10  engine
11  champion
12  ingestion training scoring deployment diagnostics reporting apicalls
13  fullprocess app
14  wsgi

What stands from level 12 on are the scripts at the top of the project. A test keeps this true.
"""
