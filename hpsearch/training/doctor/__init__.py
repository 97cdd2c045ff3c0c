"""The training side's part of ``hpsearch doctor``: what its interpreter, its libraries and the Hub have to say.

Nothing here is imported before its check begins: an import that fails or hangs is what is looked for.
"""
