"""One module a stage: read the files that a rule names, call the package, write the files that it names.

The arguments of these functions are what a script can pass on: paths as text and plain values from the rule's
params.
"""
