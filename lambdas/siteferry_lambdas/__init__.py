"""The handlers: what follows from an upload. Duplicates, deletes, directory pages, invalidations.

`copy`, `delete`, `page` and `invalidate` are composition roots. What they decide is in modules that take every port
as an argument (`ports`), and do no I/O of their own; `aws` is the only module that knows boto3.
"""
