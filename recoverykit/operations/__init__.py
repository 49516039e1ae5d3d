"""What the recovery unit does and whether it helps: contact rules, early warning, treatments, scorecards, courts.

The operations layer stands beside the portfolio: it takes the tables of the unit's log as frames, and knows the ground
and the estimators, nothing of files, contracts or pages.
"""
