"""How results look: figures, tables, sentences and the pages that hold them.

This part turns frames, curves and records into what a board reads. It knows results only: it never estimates, never
reads a source and never touches an episode. matplotlib and seaborn live here and nowhere else.
"""
