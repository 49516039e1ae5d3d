"""What the recovery unit does and whether it helps: contact rules, early warning, treatments, scorecards, courts.

The operations layer stands beside the portfolio: it takes the tables of the unit's log as frames, and knows the ground
and the estimators, nothing of a bank's files, of contracts or pages. Rule tables are its own files, and YAML is read
with the strict reader of the data specs.
"""
