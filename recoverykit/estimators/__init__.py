"""What can be estimated: one module per named method, frames or counts in, frozen fits and curves out.

The estimators know the ground (vocabulary, errors, curves) and nothing of files, contracts or pages.
"""
