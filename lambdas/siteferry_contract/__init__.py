"""What the agent and the Lambdas agree on: keys, leaves, jobs, copy rules and the site descriptor.

Standard library only, no I/O. Whatever is decoded here was written by another process, perhaps of another
version: decoders refuse what they do not know with a `ContractError` that says what they saw.
"""
