"""Tasks made from the functions of Python's standard library, declared by entry points as any other package's are."""
