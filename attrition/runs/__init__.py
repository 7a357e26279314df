"""How a run behaves: command line, lock, idle check, history, package check."""
