"""Random bytes, and what must hold whatever they are::

    python -m tests.fuzz requests --minutes 10

A target (`frame.Target`) is one side that sends: it has seeds, words of its language, and one check
of what its bytes lead to. The engine is atheris if that is installed, which goes where the code has
not been yet; else random changes of the seeds. What has been found is in `corpus`, a folder for each
target, and is checked by the tests ever since.
"""
