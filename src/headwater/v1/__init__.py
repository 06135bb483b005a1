"""Generated messages of the wire. Change ``proto/`` and run ``make proto``, never these files."""
