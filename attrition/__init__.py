"""The nouns that two or more stages share, in ten rooms; imports go one way only.

    core        what everything stands on: settings, errors, atomic files, releases
    runs        how a run behaves: command line, lock, idle check, history, package check
    data        client rows: found, read, checked, de-duplicated, committed, read back
    model       the scorecard: basis, fit, export, metrics, explanations
    engines     where the heavy stages work: this machine, or Apache Spark
    calls       what was done with clients, and whether it helped: hold-out, effect, profit, actions
    monitoring  does the live model still hold: drift, examination, decisions, alerts
    ranking     whom to call: the list, its file, its look-up database, what became of it
    report      the report as a document, then as HTML, PDF and terminal text
    web         what the API answers

core <- runs | data | model <- engines | calls <- monitoring | ranking <- report | web <- scripts

A room imports from rooms to its left. Rooms side by side do not import each other, but for these:
ranking -> runs, engines -> calls, monitoring -> ranking, report -> monitoring, report -> ranking,
web -> monitoring, web -> ranking. A test keeps this true.
"""
